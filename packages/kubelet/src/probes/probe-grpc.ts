/**
 * grpc.health.v1.Health/Check over plain HTTP/2: one request of one short message. A gRPC library would bring an event
 * loop's worth of features for it.
 */
import { type ClientHttp2Session, connect, constants, type IncomingHttpHeaders } from 'node:http2'
import type { GRPCAction } from 'kubernetes-types/core/v1.d.ts'
import { ANSWER_BYTES, failure, type ProbeOutcome, seconds, success } from './probe-outcome.ts'
import { deadline, dial, dialFailure, type ProbeTarget } from './probe-target.ts'

/** grpc.health.v1.HealthCheckResponse.ServingStatus. */
const SERVING_STATUS = ['UNKNOWN', 'SERVING', 'NOT_SERVING', 'SERVICE_UNKNOWN'] as const
const UNIMPLEMENTED = '12'

export async function probeGrpc(target: ProbeTarget, action: GRPCAction, timeoutMs: number): Promise<ProbeOutcome> {
  const at = `${target.podIp ?? '127.0.0.1'}:${action.port}`
  const signal = deadline(target, timeoutMs)
  const connection = await dial(target, action.port, signal).catch((error: unknown) => error as Error)
  if (connection instanceof Error) {
    if (signal.aborted) {
      const within = seconds(timeoutMs)
      return failure(
        `timeout: failed to connect service ${JSON.stringify(at)} within ${within}: context deadline exceeded`,
      )
    }
    return failure(
      `error: failed to connect service at ${JSON.stringify(at)}: ${dialFailure(target, action.port, connection)}`,
    )
  }
  const session = connect(`http://${at}`, { createConnection: () => connection })
  try {
    return verdict(await check(session, action.service ?? '', signal))
  } catch (error) {
    if (signal.aborted) return failure(`timeout: health rpc did not complete within ${seconds(timeoutMs)}`)
    return failure(`error: health rpc probe failed: ${(error as Error).message}`)
  } finally {
    session.destroy()
    connection.destroy()
  }
}

interface HealthAnswer {
  code: string
  message: string
  body: Buffer
}

function verdict({ code, message, body }: HealthAnswer): ProbeOutcome {
  if (code === UNIMPLEMENTED) {
    const what = 'this server does not implement the grpc health protocol (grpc.health.v1.Health)'
    return failure(`error: ${what}: ${message}`)
  }
  if (code !== '0') return failure(`error: health rpc probe failed: rpc error: code = ${code} desc = ${message}`)
  const status = SERVING_STATUS[servingStatus(body)] ?? 'UNKNOWN'
  return status === 'SERVING' ? success('service healthy') : failure(`service unhealthy (responded with "${status}")`)
}

function check(session: ClientHttp2Session, service: string, signal: AbortSignal): Promise<HealthAnswer> {
  return new Promise((resolve, reject) => {
    session.once('error', reject)
    session.once('close', () => reject(new Error('the connection was closed')))
    const stream = session.request(
      {
        [constants.HTTP2_HEADER_METHOD]: 'POST',
        [constants.HTTP2_HEADER_PATH]: '/grpc.health.v1.Health/Check',
        [constants.HTTP2_HEADER_CONTENT_TYPE]: 'application/grpc',
        [constants.HTTP2_HEADER_TE]: 'trailers',
        [constants.HTTP2_HEADER_USER_AGENT]: 'kube-probe/1.34',
      },
      { signal },
    )
    let status: IncomingHttpHeaders = {}
    const chunks: Buffer[] = []
    let size = 0
    stream.once('error', reject)
    // An answer without a body carries its status where headers are.
    stream.once('response', (headers) => (status = headers))
    stream.once('trailers', (trailers) => (status = { ...status, ...trailers }))
    stream.on('data', (chunk: Buffer) => {
      size += chunk.length
      if (size > ANSWER_BYTES) reject(new Error(`the answer is longer than ${ANSWER_BYTES} bytes`))
      else chunks.push(chunk)
    })
    stream.once('end', () => {
      const code = status['grpc-status']
      if (code === undefined) reject(new Error(`not an answer of gRPC: HTTP status ${String(status[':status'])}`))
      else resolve({ code: String(code), message: String(status['grpc-message'] ?? ''), body: Buffer.concat(chunks) })
    })
    stream.end(framed(healthCheckRequest(service)))
  })
}

/** A gRPC message: a byte that says that it is not compressed, four of length. */
function framed(message: Buffer): Buffer {
  const head = Buffer.alloc(5)
  head.writeUInt32BE(message.length, 1)
  return Buffer.concat([head, message])
}

/** `service` is field 1, a string. */
function healthCheckRequest(service: string): Buffer {
  const text = Buffer.from(service)
  if (text.length === 0) return text
  const length: number[] = []
  for (let rest = text.length; ; rest >>>= 7) {
    length.push(rest > 0x7f ? (rest & 0x7f) | 0x80 : rest)
    if (rest <= 0x7f) break
  }
  return Buffer.concat([Buffer.of(0x0a, ...length), text])
}

/** `status` is field 1, an enum whose values fit in one byte; where it is left out it is 0. */
function servingStatus(body: Buffer): number {
  const message = body.subarray(5)
  return message[0] === 0x08 ? (message[1] ?? 0) : 0
}
