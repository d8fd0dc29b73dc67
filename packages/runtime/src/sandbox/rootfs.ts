import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import { escapeLayer } from '../native/show-program.ts'
import { RuntimeError } from '../runtime-error.ts'
import { runCommand } from '../tools/run-command.ts'

export interface MountRootfsOptions {
  directory: string
  lower: string
  /** Device files in it can be opened. Otherwise those of an image, and what is made in it, lead nowhere. */
  devices: boolean
}

/**
 * A writable root file system over an image's, for runtimes that use the host's kernel. Below `directory`, where it goes
 * with the container.
 */
export async function mountRootfs({ directory, lower, devices }: MountRootfsOptions): Promise<void> {
  const [rootfs, upper, work] = [join(directory, 'rootfs'), join(directory, 'upper'), join(directory, 'work')]
  for (const path of [rootfs, upper, work]) await mkdir(path, { mode: 0o755 })
  const options = `${devices ? '' : 'nodev,'}lowerdir=${escapeLayer(lower)},upperdir=${escapeLayer(upper)},workdir=${escapeLayer(work)}`
  const { exitCode, stderr } = await runCommand('mount', ['-t', 'overlay', 'caisson', '-o', options, rootfs])
  if (exitCode !== 0) throw new RuntimeError('failed', `could not mount a root file system: ${stderr.trim()}`)
}
