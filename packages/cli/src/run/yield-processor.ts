import { readFileSync } from 'node:fs'
import { constants, getPriority, setPriority } from 'node:os'

const YIELDED = constants.priority.PRIORITY_BELOW_NORMAL
const CAP_SYS_NICE = 1n << 23n

/**
 * Has this process step back while a sandbox is made, which it only waits for and which wants the same processors, until
 * it is disposed of. Without the right to step forward again nothing is changed. Node's own threads stay as they are.
 *
 * @param mayReturn whether this process has that right
 */
export function yieldProcessor(mayReturn = inFirstNamespace() && holdsCapability(CAP_SYS_NICE)): Disposable {
  const before = getPriority()
  let yielded = mayReturn && before < YIELDED
  if (yielded) setPriority(YIELDED)
  return {
    [Symbol.dispose]() {
      if (yielded) setPriority(before)
      yielded = false
    },
  }
}

/** In a user namespace of its own a process holds all capabilities, and the machine's priorities are not among what they allow. */
function inFirstNamespace(): boolean {
  try {
    return /^\s*0\s+0\s+4294967295\s*$/.test(readFileSync('/proc/self/uid_map', 'utf8'))
  } catch {
    return false
  }
}

function holdsCapability(bit: bigint): boolean {
  try {
    const effective = /^CapEff:\s*([0-9a-f]+)/m.exec(readFileSync('/proc/self/status', 'utf8'))?.[1] ?? '0'
    return (BigInt(`0x${effective}`) & bit) !== 0n
  } catch {
    return false
  }
}
