/** sandboxd's REST API, on port 8080: `/v1/files/…`, `/v1/health` and `/v1/metadata`. */
import type { Readable } from 'node:stream'
import { endWith, sendHead, sendJson } from '../proxy/exchange.ts'
import { FileError, type FileErrorCode, filesOf, type SandboxFiles } from './files.ts'
import { filePart, MultipartError } from './multipart.ts'
import { runScript } from './run-in-pod.ts'
import { fileHeaders, type RuntimeCall, sendAsked } from './runtime-call.ts'
import { decodedPath } from './sandbox-path.ts'

export const FILES_PORT = 8080
export const SANDBOXD_BASE = '/workspace'

const FILES = '/v1/files/'
const MODE = /^0[0-7]{3}$/

/** Whether the API has such a path: others of this port are for a server that is not there. */
export function isFileServicePath(path: string): boolean {
  return path.startsWith(FILES) || path === '/v1/files' || path === '/v1/health' || path === '/v1/metadata'
}

export async function serveFiles(call: RuntimeCall): Promise<void> {
  const { exchange, path } = call
  const method = exchange.request.method ?? ''
  const isRead = method === 'GET' || method === 'HEAD'
  if (path === '/v1/health' && isRead) return health(call)
  if (path === '/v1/metadata' && isRead) return metadata(call)
  const named = path.startsWith(FILES) ? decodedPath(path.slice(FILES.length)) : undefined
  if (named === undefined) return sendError(call, 404, 'NOT_FOUND', 'there is no such path')
  try {
    if (method === 'GET') await get(call, named)
    else if (method === 'HEAD') await head(call, named)
    else if (method === 'PUT') await put(call, named)
    else if (method === 'DELETE') await remove(call, named)
    else sendError(call, 405, 'METHOD_NOT_ALLOWED', `${method} is not served here`)
  } catch (error) {
    if (exchange.response.headersSent) throw error
    if (error instanceof MultipartError) return sendError(call, 400, 'INVALID_ARGUMENT', error.message)
    if (!(error instanceof FileError)) throw error
    const { status, code } = ERRORS[error.code]
    sendError(call, status, code, error.message)
  }
}

function health(call: RuntimeCall): void {
  const uptime = Math.max(0, Math.floor((Date.now() - call.pod.startedAt) / 1000))
  sendJson(call.exchange, 200, { status: 'ok', uptime_seconds: uptime })
}

const SHOWN = /^SANDBOX_/
const HIDDEN = /TOKEN|SECRET|PASSWORD|PASSWD|CRED|KEY|AUTH|BEARER|PRIVATE|CERT/i

/** Of the environment what is meant to be seen, and does not look like a secret. */
async function metadata(call: RuntimeCall): Promise<void> {
  const { client, pod, signal, held } = call
  const { stdout } = await runScript(client, pod, {
    script: "printf 'ok\\n'; exec cat /proc/self/environ",
    args: [],
    held,
    signal,
  })
  const variables = stdout
    .toString('utf8')
    .split('\0')
    .map((text): [string, string] => [text.slice(0, text.indexOf('=')), text.slice(text.indexOf('=') + 1)])
    .filter(([name]) => SHOWN.test(name) && !HIDDEN.test(name))
  sendJson(call.exchange, 200, { env: Object.fromEntries(variables) })
}

async function get(call: RuntimeCall, path: string): Promise<void> {
  if (await sendAsked(call, files(call), { path })) return
  // Listed anew, and as a whole: half a listing would look like a whole one.
  const entries = await files(call).list(path, call.signal)
  sendJson(call.exchange, 200, {
    path: path.startsWith('/') ? path : `/${path}`,
    entries: entries.map(({ name, size, type, modified, mode }) => ({
      name,
      size,
      type,
      modified_at: new Date(modified * 1000).toISOString().replace('.000Z', 'Z'),
      mode: (mode & 0o777).toString(8).padStart(4, '0'),
    })),
  })
}

async function head(call: RuntimeCall, path: string): Promise<void> {
  const found = await files(call).look(path, call.signal)
  if (found.kind === 'directory') return sendJson(call.exchange, 200, {})
  const headers = fileHeaders(found)
  if (found.size !== undefined) headers.push('Content-Length', String(found.size))
  sendHead(call.exchange, 200, headers)
  endWith(call.exchange)
}

async function put(call: RuntimeCall, path: string): Promise<void> {
  const { exchange, query, signal } = call
  const { request } = exchange
  const mode = query.get('mode') || '0644'
  if (!MODE.test(mode))
    return sendError(call, 400, 'INVALID_ARGUMENT', `mode ${JSON.stringify(mode)} must match ^0[0-7]{3}$`)
  const type = request.headers['content-type'] ?? ''
  const content = /^multipart\/form-data/i.test(type)
    ? (await filePart(request as AsyncIterable<Buffer>, type, 'file')).content
    : (request as Readable)
  await files(call).write(path, content, { mode, signal })
  sendHead(exchange, 204, [])
  endWith(exchange)
}

const TRUE = /^(?:1|t|true)$/i
const FALSE = /^(?:0|f|false|)$/i

async function remove(call: RuntimeCall, path: string): Promise<void> {
  const text = call.query.get('recursive') ?? ''
  if (!TRUE.test(text) && !FALSE.test(text))
    return sendError(call, 400, 'INVALID_ARGUMENT', `recursive ${JSON.stringify(text)} must be a boolean`)
  await files(call).remove(path, { recursive: TRUE.test(text), signal: call.signal })
  sendHead(call.exchange, 204, [])
  endWith(call.exchange)
}

const ERRORS: Readonly<Record<FileErrorCode, { status: number; code: string }>> = {
  escape: { status: 403, code: 'PERMISSION_DENIED' },
  denied: { status: 403, code: 'PERMISSION_DENIED' },
  missing: { status: 404, code: 'NOT_FOUND' },
  directory: { status: 400, code: 'INVALID_ARGUMENT' },
  special: { status: 400, code: 'INVALID_ARGUMENT' },
  root: { status: 409, code: 'CONFLICT' },
  'not-empty': { status: 409, code: 'CONFLICT' },
  changed: { status: 500, code: 'INTERNAL' },
  failed: { status: 500, code: 'INTERNAL' },
}

function sendError(call: RuntimeCall, status: number, code: string, message: string): void {
  sendJson(call.exchange, status, { code, message })
}

function files(call: RuntimeCall): SandboxFiles {
  return filesOf(call, SANDBOXD_BASE)
}
