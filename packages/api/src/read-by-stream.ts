import type { EventEmitter } from 'node:events'

/**
 * Has Node's HTTP server read a connection over TLS by its stream, which stands still when it is told to. Node gives what is
 * decrypted to its parser past the stream, and stops reading where a request comes while the answer before it is not all
 * sent; what was decrypted already then meets a parser that stands still, is lost, and the request is answered with 400
 * (`HPE_PAUSED`; Node 24 to 26). To be called once the server has the connection.
 */
export function readByStream(socket: Pick<EventEmitter, 'on' | 'off'>): void {
  const nothing = (): void => undefined
  // Whoever listens to the data has Node take the short cut back, and it stays so.
  socket.on('data', nothing).off('data', nothing)
}
