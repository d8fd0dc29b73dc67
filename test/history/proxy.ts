/** A proxy on loopback whose connections can be broken, and that goes on where its server is started anew. */
import { type AddressInfo, connect, createServer, type Socket } from 'node:net'

export interface Proxy extends AsyncDisposable {
  port: number
  /** Where new connections go; undefined refuses them. */
  target(port: number | undefined): void
  /** Resets each connection for which `chosen` says so, with whatever is under way on it. */
  reset(chosen: () => boolean): number
}

export async function startProxy(): Promise<Proxy> {
  let target: number | undefined
  /** Each with the other end of what it carries. */
  const sockets = new Map<Socket, Socket>()
  const server = createServer((client) => {
    if (target === undefined) {
      client.resetAndDestroy()
      return
    }
    const upstream = connect({ host: '127.0.0.1', port: target })
    carry(client, upstream)
    carry(upstream, client)
  })

  function carry(from: Socket, to: Socket): void {
    sockets.set(from, to)
    // What one end is slow to take, the other is slow to send.
    from.pipe(to)
    from.on('error', () => undefined)
    from.on('close', (broken) => {
      sockets.delete(from)
      if (broken) to.resetAndDestroy()
      else to.end()
    })
  }

  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  return {
    port: (server.address() as AddressInfo).port,
    target(port) {
      target = port
    },
    reset(chosen) {
      const broken = [...sockets].filter(() => chosen())
      for (const [one, other] of broken) {
        one.resetAndDestroy()
        other.resetAndDestroy()
      }
      return broken.length
    },
    async [Symbol.asyncDispose]() {
      const closed = new Promise<void>((resolve) => server.close(() => resolve()))
      for (const socket of sockets.keys()) socket.destroy()
      await closed
    },
  }
}
