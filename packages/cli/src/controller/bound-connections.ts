import type { Server, Socket } from 'node:net'

/**
 * Has at most `most` connections of a server stand. One too many costs the client that has the most its oldest: who may
 * connect may hold as many as he likes, and everybody else still comes through.
 */
export function boundConnections(server: Server, most: number): void {
  /** By the client's address; the oldest first. */
  const clients = new Map<string, Set<Socket>>()
  let count = 0

  function forget(address: string, socket: Socket): void {
    const own = clients.get(address)
    if (!own?.delete(socket)) return
    count--
    if (own.size === 0) clients.delete(address)
  }

  server.on('connection', (socket: Socket) => {
    const { remoteAddress = '' } = socket
    clients.set(remoteAddress, (clients.get(remoteAddress) ?? new Set()).add(socket))
    count++
    socket.once('close', () => forget(remoteAddress, socket))
    if (count <= most) return
    const [crowd] = [...clients].sort(([, a], [, b]) => b.size - a.size)
    if (!crowd) return
    const [address, [oldest]] = crowd
    if (!oldest) return
    forget(address, oldest)
    oldest.destroy()
  })
}
