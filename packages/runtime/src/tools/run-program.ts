/** Programs of this machine that change what the node has on its disk. */
import { execFile } from 'node:child_process'
import { promisify } from 'node:util'

const execute = promisify(execFile)

/** In the process that is to become the program: it looks whether it was orphaned before it was tied to us. */
const TIED = 'test "$PPID" = "$0" && exec "$@"'

/**
 * Runs a program to its end, and gives what it put out. It ends with this process, however that ends: the next agent
 * begins the work again, and must not have it done a second time behind its back.
 *
 * Rejects with what the program said, with code `ENOSPC` where that is that there is no room, and with the signal's reason.
 */
export async function runProgram(program: string, args: readonly string[], signal?: AbortSignal): Promise<string> {
  const tied = ['--pdeathsig', 'KILL', '--', 'sh', '-c', TIED, String(process.pid), program, ...args]
  try {
    const { stdout } = await execute('setpriv', tied, { killSignal: 'SIGKILL', ...(signal && { signal }) })
    return stdout
  } catch (cause) {
    signal?.throwIfAborted()
    const { stderr = '' } = cause as { stderr?: string }
    if (/no space left on device|disk quota exceeded/i.test(stderr))
      throw Object.assign(new Error('ENOSPC: no space left on device', { cause }), { code: 'ENOSPC' })
    throw new Error(`${program} failed: ${stderr.trim() || (cause as Error).message}`, { cause })
  }
}
