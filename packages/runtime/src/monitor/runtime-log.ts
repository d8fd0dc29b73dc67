import { closeSync, fstatSync, openSync, readSync } from 'node:fs'
import { OVERLAY_REFUSED } from '../native/rootfs-program.ts'
import { RuntimeError, type RuntimeErrorCode } from '../runtime-error.ts'

const TAIL_BYTES = 64 * 1024

// How the three runtimes say that the command is not in the image, or cannot be executed.
const COMMAND_NOT_FOUND =
  /executable file .*not found|error finding executable|failed to load .*: (?:no such file or directory|is a directory|permission denied)|no such file or directory: OCI command not found|exec: .*: (?:no such file or directory|permission denied|is a directory)|executable file `.*` not found|open executable: /i

const NO_OVERLAY =
  'something is mounted where the image has nothing, and this machine mounts no overlay in which a place for it could be made: load the kernel module "overlay" (for a normal user Linux 5.11 or newer is needed), or mount at a path that the image has'

/** What an OCI runtime wrote last before it gave up, as an error. */
export function startFailure(runtimeLog: string, exitCode: number): RuntimeError {
  if (exitCode === OVERLAY_REFUSED) return new RuntimeError('failed', NO_OVERLAY)
  const message = lastComplaint(runtimeLog) ?? `the OCI runtime ended with exit code ${exitCode} and no word`
  return new RuntimeError(failureCode(message), message)
}

export function failureCode(message: string): RuntimeErrorCode {
  return COMMAND_NOT_FOUND.test(message) ? 'command-not-found' : 'failed'
}

/** The last record of at least level error; each is one line of JSON. */
export function lastComplaint(runtimeLog: string): string | undefined {
  const lines = readTail(runtimeLog).split('\n').reverse()
  for (const line of lines) {
    const record = parseRecord(line)
    if (record && (record.level === 'error' || record.level === 'fatal')) return record.msg
  }
  return undefined
}

interface LogRecord {
  msg: string
  level: string
}

function parseRecord(line: string): LogRecord | undefined {
  try {
    const value: unknown = JSON.parse(line)
    if (typeof value !== 'object' || value === null || !('msg' in value) || !('level' in value)) return undefined
    return { msg: String(value.msg).trim(), level: String(value.level) }
  } catch {
    return undefined
  }
}

function readTail(path: string): string {
  let file: number
  try {
    file = openSync(path, 'r')
  } catch {
    return ''
  }
  try {
    const size = fstatSync(file).size
    const bytes = Buffer.alloc(Math.min(size, TAIL_BYTES))
    readSync(file, bytes, 0, bytes.length, size - bytes.length)
    return bytes.toString('utf8')
  } finally {
    closeSync(file)
  }
}
