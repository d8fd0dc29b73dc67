/** Serves WebSockets on a scripted server, message by message. */
import { type WebSocket, WebSocketServer } from 'ws'
import type { ScriptedServer } from './scripted-server.ts'

export interface ServedWebSocket {
  socket: WebSocket
  url: string
  authorization: string | undefined
  /** Whole messages, in order, as `CHANNEL:TEXT`. */
  heard: string[]
}

/** Serves the WebSockets that follow, in the first of these protocols that the client knows. */
export function serveWebSockets(
  server: ScriptedServer,
  protocols: readonly string[],
  script: (served: ServedWebSocket) => void,
): void {
  const sockets = new WebSocketServer({
    noServer: true,
    handleProtocols: (asked) => protocols.find((each) => asked.has(each)) ?? false,
  })
  server.upgrade = (request, socket, head) => {
    sockets.handleUpgrade(request, socket, head, (accepted) => {
      const { authorization } = request.headers
      const served: ServedWebSocket = { socket: accepted, url: request.url ?? '', authorization, heard: [] }
      accepted.on('message', (message: Buffer) => served.heard.push(`${message[0]}:${message.toString('utf8', 1)}`))
      script(served)
    })
  }
}

export function onChannel(channel: number, content: string | Buffer): Buffer {
  return Buffer.concat([Buffer.of(channel), Buffer.from(content)])
}
