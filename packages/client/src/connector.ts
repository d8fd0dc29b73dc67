/** Connections to one server, some of them made before there is a request for them. */
import type { Socket } from 'node:net'
import type { buildConnector } from 'undici'

export interface Connector extends Disposable {
  /** As undici asks for a connection. */
  connect: buildConnector.connector
  /** A connection for who speaks something else over it. */
  open(): Promise<Socket>
  /**
   * Makes a connection that the next one to ask for one gets. Never rejects: a server that cannot be reached is found out
   * by who needs it.
   */
  connectAhead(): Promise<void>
}

/** @param make as undici's own, whose TLS sessions all connections share: the second handshake costs a third of the first */
export function createConnector(server: URL, make: buildConnector.connector): Connector {
  const ahead = new Set<Socket>()
  let closed = false
  const target: buildConnector.Options = {
    hostname: server.hostname.replace(/^\[|\]$/g, ''),
    host: server.host,
    protocol: server.protocol,
    port: server.port,
  }

  function take(): Socket | undefined {
    for (const socket of ahead) {
      ahead.delete(socket)
      if (!socket.destroyed && socket.readyState === 'open') return socket
      socket.destroy()
    }
    return undefined
  }

  const connect: buildConnector.connector = (options, callback) => {
    const socket = take()
    if (socket) queueMicrotask(() => callback(null, socket))
    else make(options, callback)
  }

  function open(): Promise<Socket> {
    return new Promise((resolve, reject) =>
      connect(target, (error, socket) => (socket ? resolve(socket) : reject(error))),
    )
  }

  return {
    connect,
    open,
    connectAhead: () =>
      new Promise((resolve) =>
        make(target, (_error, socket) => {
          // Its end is seen when somebody wants it.
          socket?.on('error', () => {})
          if (closed) socket?.destroy()
          else if (socket) ahead.add(socket)
          resolve()
        }),
      ),
    [Symbol.dispose]() {
      closed = true
      for (const socket of ahead) socket.destroy()
      ahead.clear()
    },
  }
}
