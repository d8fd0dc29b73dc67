/** The door for clients outside this process: HTTPS on one address, and whose connections there are. */
import { createServer, type Server, type ServerOptions } from 'node:https'
import type { AddressInfo, Socket } from 'node:net'
import { readByStream } from '@caisson/api'
import {
  type ConnectionLimits,
  connectionOptions,
  createStrangers,
  MAX_HEADER_BYTES,
  type Strangers,
} from './connections.ts'
import type { Handler } from './handler.ts'
import { refuseUnread } from './refuse-unread.ts'

export interface ListenOptions {
  host: string
  /** 0 takes a free one. */
  port: number
  tls: ServerOptions
}

/** Disposing it cuts every connection. */
export interface Listener extends AsyncDisposable, Pick<Strangers, 'welcome'> {
  /** Calls back with the number of open connections, now and whenever it changes. */
  followClients(listener: (open: number) => void): Disposable
  listen(options: ListenOptions, handler: Handler): Promise<{ url: string; port: number }>
  /** New connections use the new certificate; those that are open go on. */
  setTls(tls: ServerOptions): void
  /** Where it listens, `host:port`; empty before. */
  address(): string
}

export function createListener(limits: ConnectionLimits): Listener {
  let server: Server | undefined
  let address = ''
  const strangers = createStrangers(limits)
  // Node forgets those that were upgraded, and would wait for them for ever.
  const sockets = new Set<Socket>()
  const followers = new Set<(open: number) => void>()

  function sayClients(): void {
    for (const follower of followers) follower(sockets.size)
  }

  return {
    welcome: strangers.welcome,
    followClients(listener) {
      followers.add(listener)
      listener(sockets.size)
      return { [Symbol.dispose]: () => void followers.delete(listener) }
    },
    async listen({ host, port, tls }, handler) {
      server = createServer({ ...tls, ...connectionOptions(limits) })
      server.on('secureConnection', readByStream)
      const unread = refuseUnread(MAX_HEADER_BYTES)
      server.on('request', unread.request)
      server.on('clientError', unread.clientError)
      server.on('request', handler.request)
      server.on('upgrade', handler.upgrade)
      // Someone who speaks no TLS, or hangs up: nothing to answer, nothing to report.
      server.on('tlsClientError', () => undefined)
      server.on('connection', (socket: Socket) => {
        sockets.add(socket)
        strangers.add(socket)
        sayClients()
        socket.on('close', () => {
          sockets.delete(socket)
          sayClients()
        })
      })
      await new Promise<void>((resolve, reject) => {
        server?.once('error', reject)
        server?.listen(port, host, resolve)
      })
      const { port: actual } = server.address() as AddressInfo
      address = `${host.includes(':') ? `[${host}]` : host}:${actual}`
      return { url: `https://${address}`, port: actual }
    },
    setTls(tls) {
      server?.setSecureContext(tls)
    },
    address: () => address,
    async [Symbol.asyncDispose]() {
      if (!server) return
      const closed = new Promise<void>((resolve) => server?.close(() => resolve()))
      for (const socket of sockets) socket.destroy()
      await closed
    },
  }
}
