import type { ClientRequest } from 'node:http'

/**
 * Tells of an answer in another protocol than HTTP, which nobody had asked for, and closes its connection. Without this
 * Node would say nothing of it, and neither a deadline nor whoever destroys the request would end it.
 */
export function onOtherProtocol(request: ClientRequest, told: (statusCode: number) => void): void {
  request.on('upgrade', ({ statusCode = 0 }, socket) => {
    socket.destroy()
    told(statusCode)
  })
}
