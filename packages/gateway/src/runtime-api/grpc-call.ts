/** A gRPC call that the router answers: messages in, messages out, a status at the end. */
import type { IncomingHttpHeaders, ServerHttp2Stream } from 'node:http2'
import { LONGEST_TIMER } from '@caisson/api'
import { GRPC, GrpcError, statusTrailers } from '../proxy/grpc-status.ts'
import type { HeldBytes } from './held-bytes.ts'

export interface GrpcCall {
  /** The one message of the request. */
  request(): Promise<Buffer>
  /** Resolves when there is room for the next. */
  send(message: Buffer): Promise<void>
  /** Aborted when the client has gone, cancelled the call, or its deadline has passed. */
  signal: AbortSignal
  /** What it holds. */
  held: HeldBytes
}

const MESSAGE_LIMIT = 4 * 1024 * 1024
const HEAD_BYTES = 5
const UNIT_MS: Readonly<Record<string, number>> = { H: 3_600_000, M: 60_000, S: 1000, m: 1, u: 1e-3, n: 1e-6 }

/** Runs the method and ends the call with its status. Never rejects. */
export async function answerCall(
  stream: ServerHttp2Stream,
  { headers, held }: { headers: IncomingHttpHeaders; held: HeldBytes },
  method: (call: GrpcCall) => Promise<void>,
): Promise<void> {
  const stop = new AbortController()
  const deadlineMs = timeoutOf(headers)
  const deadline = deadlineMs === undefined ? undefined : setTimeout(() => stop.abort(deadlineExceeded()), deadlineMs)
  stream.once('close', () => {
    clearTimeout(deadline)
    stop.abort(new GrpcError(GRPC.cancelled, 'the client has gone'))
  })
  // The stream has both ends; what is not read must not keep it open.
  let outcome = new GrpcError(GRPC.ok, '')
  try {
    await method({
      request: () => readMessage(stream, held),
      send: (message) => sendMessage(stream, message),
      signal: stop.signal,
      held,
    })
  } catch (error) {
    outcome = stop.signal.aborted ? (stop.signal.reason as GrpcError) : asGrpcError(error)
  }
  clearTimeout(deadline)
  if (stream.destroyed) return
  const trailers = statusTrailers(outcome.status, outcome.message)
  if (!stream.headersSent) {
    stream.respond({ ':status': 200, 'content-type': 'application/grpc', ...trailers }, { endStream: true })
    return
  }
  stream.once('wantTrailers', () => stream.sendTrailers(trailers))
  stream.end()
}

function deadlineExceeded(): GrpcError {
  return new GrpcError(GRPC.deadlineExceeded, 'the deadline has passed, and the command was killed')
}

function asGrpcError(error: unknown): GrpcError {
  if (error instanceof GrpcError) return error
  return new GrpcError(GRPC.internal, error instanceof Error ? error.message : String(error))
}

/** ms of `grpc-timeout`, such as `10S`. */
function timeoutOf(headers: IncomingHttpHeaders): number | undefined {
  const [, amount, unit = ''] = /^(\d{1,8})([HMSmun])$/.exec(String(headers['grpc-timeout'] ?? '')) ?? []
  const ms = UNIT_MS[unit]
  return ms === undefined ? undefined : Math.min(Math.ceil(Number(amount) * ms), LONGEST_TIMER)
}

async function readMessage(stream: ServerHttp2Stream, held: HeldBytes): Promise<Buffer> {
  const chunks: Buffer[] = []
  let size = 0
  for await (const chunk of stream as AsyncIterable<Buffer>) {
    size += chunk.length
    if (size > MESSAGE_LIMIT + HEAD_BYTES)
      throw new GrpcError(GRPC.resourceExhausted, `the message is larger than ${MESSAGE_LIMIT} bytes`)
    held.add(chunk.length)
    chunks.push(chunk)
  }
  const body = Buffer.concat(chunks)
  if (body.length < HEAD_BYTES || body.readUInt32BE(1) !== body.length - HEAD_BYTES)
    throw new GrpcError(GRPC.internal, 'the request is not one message')
  if (body[0] !== 0) throw new GrpcError(GRPC.unimplemented, 'compressed messages are not served')
  return body.subarray(HEAD_BYTES)
}

function sendMessage(stream: ServerHttp2Stream, message: Buffer): Promise<void> {
  if (stream.destroyed) return Promise.reject(new GrpcError(GRPC.cancelled, 'the client has gone'))
  if (!stream.headersSent)
    stream.respond({ ':status': 200, 'content-type': 'application/grpc' }, { waitForTrailers: true })
  const head = Buffer.alloc(HEAD_BYTES)
  head.writeUInt32BE(message.length, 1)
  return new Promise((resolve, reject) => {
    stream.write(Buffer.concat([head, message]), (error) => (error ? reject(error) : resolve()))
  })
}
