/** gRPC's status codes, and how a call is ended with one. */
import type { ServerHttp2Stream } from 'node:http2'

export const GRPC = {
  ok: 0,
  cancelled: 1,
  invalidArgument: 3,
  deadlineExceeded: 4,
  notFound: 5,
  permissionDenied: 7,
  resourceExhausted: 8,
  failedPrecondition: 9,
  unimplemented: 12,
  internal: 13,
  unavailable: 14,
  unauthenticated: 16,
} as const

export type GrpcCode = (typeof GRPC)[keyof typeof GRPC]

export class GrpcError extends Error {
  override readonly name = 'GrpcError'
  readonly code = 'GRPC'
  readonly status: GrpcCode
  constructor(status: GrpcCode, message: string, options?: ErrorOptions) {
    super(message, options)
    this.status = status
  }
}

/** What a status of HTTP means where a client speaks gRPC: its own table for servers that do not. */
export function grpcCodeOf(httpStatus: number): GrpcCode {
  switch (httpStatus) {
    case 400:
      return GRPC.internal
    case 401:
      return GRPC.unauthenticated
    case 403:
      return GRPC.permissionDenied
    case 404:
      return GRPC.unimplemented
    default:
      return GRPC.unavailable
  }
}

/** Trailers as gRPC wants them; the message percent-encoded. */
export function statusTrailers(status: GrpcCode, message: string): Record<string, string> {
  return { 'grpc-status': String(status), ...(message && { 'grpc-message': encodeURIComponent(message) }) }
}

/** Ends a call that has sent nothing yet. */
export function refuseCall(stream: ServerHttp2Stream, status: GrpcCode, message: string): void {
  if (stream.destroyed || stream.headersSent) return
  const headers = { ':status': 200, 'content-type': 'application/grpc', ...statusTrailers(status, message) }
  stream.respond(headers, { endStream: true })
}
