/** The API of agent-sandbox's first runtime, on port 8888: commands and files, with its answers and their words. */
import type { Readable } from 'node:stream'
import { LONGEST_TIMER } from '@caisson/api'
import { sendJson } from '../proxy/exchange.ts'
import { ExecError } from './exec-error.ts'
import { FileError, filesOf, type SandboxFiles } from './files.ts'
import type { HeldBytes } from './held-bytes.ts'
import { filePart, MultipartError } from './multipart.ts'
import { type SandboxProcess, StartError, startProcess } from './processes.ts'
import { collect } from './run-in-pod.ts'
import { type RuntimeCall, readJson, sendAsked } from './runtime-call.ts'
import { decodedPath } from './sandbox-path.ts'
import { shellWords } from './shell-words.ts'

export const LEGACY_PORT = 8888
const USUAL_BASE = '/app'
/** What a command may take where nobody says it, ms. */
const COMMAND_MS = 300_000
/** As `timeout` of coreutils ends. */
const TIMED_OUT = 124

export async function serveLegacy(call: RuntimeCall): Promise<void> {
  const { exchange, path } = call
  const { method } = exchange.request
  const [, action = '', argument] = /^\/([^/]*)(?:\/(.*))?$/.exec(path) ?? []
  if (path === '/' && isRead(method)) {
    return sendJson(exchange, 200, { status: 'ok', message: 'Sandbox Runtime is active.' })
  }
  if (path === '/execute' && method === 'POST') return execute(call)
  if (path === '/upload' && method === 'POST') return upload(call)
  if (argument !== undefined && isRead(method) && Object.hasOwn(READS, action)) {
    // Once, as its clients encode it: the original decodes what came out once more, and cannot find some names again.
    const decoded = decodedPath(argument)
    if (decoded === undefined) return sendJson(exchange, 400, { message: 'the path is not UTF-8' })
    return answerFiles(call, () => READS[action as keyof typeof READS](call, decoded))
  }
  const known = ['/execute', '/upload', '/'].includes(path) || Object.hasOwn(READS, action)
  return sendJson(exchange, known ? 405 : 404, { detail: known ? 'Method Not Allowed' : 'Not Found' })
}

function isRead(method: string | undefined): boolean {
  return method === 'GET' || method === 'HEAD'
}

interface ExecuteRequest {
  command: string
  timeoutMs: number
}

async function execute(call: RuntimeCall): Promise<void> {
  const asked = executeRequest(await readJson(call))
  if (typeof asked === 'string') return sendJson(call.exchange, 422, { detail: asked })
  sendJson(call.exchange, 200, await runCommand(call, asked))
}

/** A string says what is wrong with it. */
function executeRequest(body: unknown): ExecuteRequest | string {
  const { command, timeout_seconds: seconds } = (body ?? {}) as { command?: unknown; timeout_seconds?: unknown }
  if (typeof command !== 'string') return 'the body has to be {"command": "…"}, with timeout_seconds if at all'
  if (seconds === undefined || seconds === null) return { command, timeoutMs: COMMAND_MS }
  if (typeof seconds !== 'number' || !(seconds > 0)) return 'timeout_seconds has to be a number greater than 0'
  return { command, timeoutMs: Math.ceil(seconds * 1000) }
}

interface ExecuteAnswer {
  stdout: string
  stderr: string
  exit_code: number
  timed_out?: boolean
}

async function runCommand(call: RuntimeCall, { command, timeoutMs }: ExecuteRequest): Promise<ExecuteAnswer> {
  const limit = AbortSignal.timeout(Math.min(timeoutMs, LONGEST_TIMER))
  const outputs = { stdout: '', stderr: '' }
  try {
    const args = shellWords(command)
    if (args.length === 0) return failed('the command is empty')
    await using process = await startProcess(call.client, call.pod, {
      args,
      env: {},
      workingDirectory: '',
      usualBase: USUAL_BASE,
      stdin: false,
      signal: AbortSignal.any([call.signal, limit]),
    })
    const exitCode = await collectOutputs(process, outputs, call.held)
    return { ...outputs, exit_code: exitCode }
  } catch (error) {
    if (call.signal.aborted) throw error
    if (limit.aborted) {
      const message = `Command timed out after ${timeoutMs / 1000} seconds`
      return { ...outputs, stderr: outputs.stderr + message, exit_code: TIMED_OUT, timed_out: true }
    }
    if (error instanceof ExecError && error.code === 'too-large')
      return failed(`${error.message}, and the command was killed`)
    if (error instanceof StartError) return failed(`[Errno 2] No such file or directory: ${error.message}`)
    if (error instanceof ExecError) throw error
    if (error instanceof Error && /quotation|escaped/.test(error.message)) return failed(error.message)
    throw error
  }
}

function failed(message: string): ExecuteAnswer {
  return { stdout: '', stderr: `Failed to execute command: ${message}`, exit_code: 1 }
}

/** Writes what comes into `outputs` as it comes, so that what there was stays when it is cut short. */
async function collectOutputs(
  process: SandboxProcess,
  outputs: { stdout: string; stderr: string },
  held: HeldBytes,
): Promise<number> {
  const gather = async (stream: Readable | undefined, name: 'stdout' | 'stderr'): Promise<void> => {
    if (!stream) return
    const parts: Buffer[] = []
    stream.on('data', (chunk: Buffer) => {
      parts.push(chunk)
    })
    stream.once('close', () => {
      outputs[name] = Buffer.concat(parts).toString('utf8')
    })
    outputs[name] = (await collect(stream, held)).toString('utf8')
  }
  const [exitCode] = await Promise.all([
    process.exit,
    gather(process.stdout, 'stdout'),
    gather(process.stderr, 'stderr'),
  ])
  return exitCode
}

async function upload(call: RuntimeCall): Promise<void> {
  const { exchange } = call
  const { request } = exchange
  await answerFiles(call, async () => {
    const part = await filePart(request as AsyncIterable<Buffer>, request.headers['content-type'] ?? '', 'file')
    if (part.filename === '') return sendJson(exchange, 422, { detail: 'the file has no filename' })
    await files(call).write(part.filename, part.content, { signal: call.signal })
    sendJson(exchange, 200, { message: `File '${part.filename}' uploaded successfully.` })
  })
}

const READS = {
  async download(call: RuntimeCall, path: string): Promise<void> {
    const name = encodeURIComponent(path)
    const disposition = ['Content-Disposition', `attachment; filename*=utf-8''${name}`]
    if (!(await sendAsked(call, files(call), { path, headers: disposition })))
      sendJson(call.exchange, 404, { message: 'File not found' })
  },

  async list(call: RuntimeCall, path: string): Promise<void> {
    const entries = await files(call).list(path, call.signal)
    const answer = entries.map(({ name, size, type, modified }) => ({ name, size, type, mod_time: modified }))
    sendJson(call.exchange, 200, answer)
  },

  async exists(call: RuntimeCall, path: string): Promise<void> {
    sendJson(call.exchange, 200, { path, exists: await files(call).exists(path, call.signal) })
  },
}

function files(call: RuntimeCall): SandboxFiles {
  return filesOf(call, USUAL_BASE)
}

async function answerFiles(call: RuntimeCall, work: () => Promise<void>): Promise<void> {
  const { exchange } = call
  try {
    await work()
  } catch (error) {
    if (exchange.response.headersSent) throw error
    if (error instanceof MultipartError) sendJson(exchange, 422, { detail: error.message })
    else if (error instanceof FileError)
      sendJson(exchange, STATUS[error.code] ?? 500, { message: wordsOf(error, call.path) })
    else throw error
  }
}

const STATUS: Partial<Record<FileError['code'], number>> = {
  escape: 403,
  denied: 403,
  missing: 404,
  special: 404,
  directory: 400,
}

/** The words of the original, where it has any. */
function wordsOf({ code, message }: FileError, path: string): string {
  if (code === 'escape') return 'Access denied'
  if (code !== 'missing' && code !== 'special') return message
  return path.startsWith('/list/') ? 'Path is not a directory' : 'File not found'
}
