import { once } from 'node:events'
import { createServer, type Server } from 'node:net'
import { carryConnection } from '../carry-connection.ts'
import { CliError } from '../cli-error.ts'
import { openSession } from '../cluster/session.ts'
import type { GlobalOptions } from '../global-options.ts'
import { awakePodOf } from '../sandbox-pod.ts'
import { whereFound } from '../where-found.ts'

export interface PortForwardOptions extends GlobalOptions {
  name: string
  /** `LOCAL:PORT`, `:PORT` for a free local port, or `PORT` for the same one. */
  ports: string[]
  address: string
}

const LOOPBACK = /^(127\.\d+\.\d+\.\d+|::1|localhost)$/

/** Carries connections to ports of this machine's loopback to a sandbox, until it is interrupted. */
export async function portForward(options: PortForwardOptions): Promise<void> {
  if (!LOOPBACK.test(options.address))
    throw new CliError('usage', `--address takes an address of loopback, not ${options.address}`)
  const ports = options.ports.map(parsePorts)
  await using session = await openSession(options)
  const { metadata } = await whereFound(session, (here) => awakePodOf(here, options.name))
  const { name: pod = '', namespace = '' } = metadata
  const stop = new AbortController()
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.once(signal, () => stop.abort())
  const servers: Server[] = []
  try {
    for (const { local, remote } of ports) {
      const server = createServer({ allowHalfOpen: true }, (socket) => {
        void carryConnection(session.client, socket, { pod, namespace, port: remote, signal: stop.signal })
      })
      servers.push(await listen(server, options.address, local))
      const bound = server.address()
      const port = typeof bound === 'object' && bound ? bound.port : local
      console.log(`Forwarding from ${options.address}:${port} -> ${remote}`)
    }
    if (!stop.signal.aborted) await once(stop.signal, 'abort')
  } finally {
    stop.abort()
    for (const server of servers) server.close()
  }
}

function parsePorts(text: string): { local: number; remote: number } {
  const match = /^(?:(\d{0,5}):)?(\d{1,5})$/.exec(text)
  const remote = Number(match?.[2] ?? 0)
  // `:80` takes a free one, `80` the same.
  const local = match?.[1] === undefined ? remote : Number(match[1])
  if (remote < 1 || remote > 65_535 || local > 65_535)
    throw new CliError('usage', `a port is given as LOCAL:PORT, :PORT or PORT, not ${JSON.stringify(text)}`)
  return { local, remote }
}

async function listen(server: Server, address: string, port: number): Promise<Server> {
  const { promise, resolve, reject } = Promise.withResolvers<Server>()
  server.once('error', reject)
  server.listen({ host: address, port }, () => resolve(server))
  try {
    return await promise
  } catch (cause) {
    const { code } = cause as NodeJS.ErrnoException
    const place = `port ${port} of ${address}`
    if (code === 'EADDRINUSE') throw new CliError('unavailable', `${place} is in use: choose another`, { cause })
    if (code === 'EACCES')
      throw new CliError('not-permitted', `${place} is root's alone: choose one above 1023`, { cause })
    throw cause
  }
}
