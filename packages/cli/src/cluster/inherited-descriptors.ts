import { closeSync, readdirSync, readFileSync } from 'node:fs'

const STANDARD = 2
/** As fdinfo has it (proc_pid_fdinfo(5)). */
const O_CLOEXEC = 0o2000000

/**
 * Closes what this process was started with beside its standard descriptors: a daemon, and what outlives it, would hold a
 * shell's lock or the end of a pipe that somebody waits for, for as long as they live. What ends with an exec is
 * Node's own, or is passed to nobody, and stays.
 *
 * @param kept one that is needed
 */
export function closeInheritedDescriptors(kept: number): void {
  for (const name of readdirSync('/proc/self/fd')) {
    const descriptor = Number(name)
    if (descriptor > STANDARD && descriptor !== kept && isInherited(descriptor)) closeSync(descriptor)
  }
}

function isInherited(descriptor: number): boolean {
  try {
    const [, flags = ''] = /^flags:\s*([0-7]+)$/m.exec(readFileSync(`/proc/self/fdinfo/${descriptor}`, 'utf8')) ?? []
    return (Number.parseInt(flags, 8) & O_CLOEXEC) === 0
  } catch {
    // That with which the directory was read.
    return false
  }
}
