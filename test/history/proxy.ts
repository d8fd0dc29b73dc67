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
  const pairs = new Map<Socket, Socket>()
  const server = createServer((client) => {
    if (target === undefined) return void client.resetAndDestroy()
    const upstream = connect({ host: '127.0.0.1', port: target })
    pairs.set(client, upstream)
    for (const [from, to] of [
      [client, upstream],
      [upstream, client],
    ] as const) {
      // What one end is slow to take, the other is slow to send.
      from.pipe(to)
      from.on('error', () => undefined)
      from.on('close', (broken) => {
        pairs.delete(client)
        if (broken) to.resetAndDestroy()
        else to.end()
      })
    }
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  return {
    port: (server.address() as AddressInfo).port,
    target(port) {
      target = port
    },
    reset(chosen) {
      const broken = [...pairs].filter(() => chosen())
      for (const [client, upstream] of broken) {
        client.resetAndDestroy()
        upstream.resetAndDestroy()
      }
      return broken.length
    },
    async [Symbol.asyncDispose]() {
      const closed = new Promise<void>((resolve) => server.close(() => resolve()))
      for (const [client, upstream] of pairs) {
        client.destroy()
        upstream.destroy()
      }
      await closed
    },
  }
}
