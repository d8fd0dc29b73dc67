import { TransportError } from './transport-error.ts'

/** Codes of node:tls, node:crypto and OpenSSL for a certificate that was refused. */
const UNTRUSTED = /CERT|^ERR_SSL_|^ERR_TLS_|SELF_SIGNED|UNABLE_TO_/

/** Codes of the system for connections that never stood. */
const UNREACHABLE = new Set(['ECONNREFUSED', 'ENOTFOUND', 'EHOSTUNREACH', 'ENETUNREACH', 'EAI_AGAIN', 'ETIMEDOUT'])

/**
 * What an error of the network, of TLS or of an HTTP library means for the request.
 *
 * @param sent whether the request was on a connection, so that the server may have seen it; undefined: its code tells
 */
export function asTransportError(error: Error, sent: boolean | undefined): Error {
  if (error instanceof TransportError || error.name === 'AbortError') return error
  const code = 'code' in error && typeof error.code === 'string' ? error.code : ''
  const { message } = error
  if (UNTRUSTED.test(code))
    return new TransportError('untrusted', `TLS with the server failed: ${message}`, { cause: error })
  if (code === 'UND_ERR_DESTROYED' || code === 'UND_ERR_CLOSED') {
    return new TransportError('closed', 'the transport was closed', { cause: error })
  }
  if (
    error.name === 'HTTPParserError' ||
    code.startsWith('HPE_') ||
    code === 'UND_ERR_HEADERS_OVERFLOW' ||
    code === 'UND_ERR_RES_CONTENT_LENGTH_MISMATCH'
  ) {
    return new TransportError('malformed', `the server does not speak HTTP as it should: ${message}`, { cause: error })
  }
  if (!(sent ?? !UNREACHABLE.has(code)))
    return new TransportError('unreachable', `cannot connect to the server: ${message}`, { cause: error })
  if (code === 'UND_ERR_HEADERS_TIMEOUT' || code === 'UND_ERR_BODY_TIMEOUT') {
    return new TransportError('silent', `the server did not answer in time: ${message}`, { cause: error })
  }
  return new TransportError('lost', `the connection to the server broke: ${message}`, { cause: error })
}
