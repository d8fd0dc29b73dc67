/** What listens on the gateway address for sandboxes: the cluster's names, and the way to the API server. */
import { connect, createServer, isIPv4, type Server, type Socket } from 'node:net'
import type { RulePiece } from '@caisson/runtime'
import { createCountEach } from '../count-each.ts'
import { createRateLimit } from '../rate-limit.ts'
import { carryBytes } from './carry-bytes.ts'

/** Where the API server listens, which sandboxes cannot reach. */
export interface ApiServerAddress {
  host: string
  port: number
}

export interface ApiDoor extends AsyncDisposable {
  port: number
}

/** Connections of all sandboxes together, and of one: few enough that one leaves room among the API server's strangers. */
const CONNECTIONS = { all: 1_024, each: 32 }
/**
 * New connections of one sandbox: 20 a second, 50 at once. The API server knows nobody before a handshake, and would make
 * room for each by closing the oldest such connection, whosever it is.
 */
const RATE = { perSecond: 20, burst: 50 }

/** Carries bytes from the gateway to the API server, which asks who comes as it asks everybody. */
export async function openApiDoor(host: string, api: ApiServerAddress, now: () => number = Date.now): Promise<ApiDoor> {
  const sockets = new Set<Socket>()
  const held = createCountEach(CONNECTIONS.each)
  const limit = createRateLimit({ ...RATE, now })
  const server = createServer({ allowHalfOpen: true, noDelay: true }, (inside) => {
    const ip = inside.remoteAddress ?? ''
    if (!limit.take(ip) || !held.take(ip)) {
      inside.destroy()
      return
    }
    inside.on('close', () => held.giveBack(ip))
    const from = localAddress(ip, api.host)
    carryBytes(inside, connect({ ...api, ...from, allowHalfOpen: true, noDelay: true }), sockets)
  })
  server.maxConnections = CONNECTIONS.all
  const port = await listen(server, host)
  return {
    port,
    async [Symbol.asyncDispose]() {
      for (const socket of sockets) socket.destroy()
      await new Promise((resolve) => server.close(resolve))
    },
  }
}

/**
 * An address of loopback for each sandbox, by which the API server tells them apart before it knows who they are. None where
 * it listens on another interface alone, which loopback does not lead to.
 */
function localAddress(ip: string, host: string): { localAddress?: string } {
  const own = `127.${ip.split('.').slice(1).join('.')}`
  return isIPv4(own) && /^(?:127\.|0\.0\.0\.0$)/.test(host) ? { localAddress: own } : {}
}

export interface Doors {
  gateway: string
  dns: { address: string; udpPort: number; tcpPort: number }
  /** Addresses and ports of the Service `kubernetes`; none while it is not there. */
  api: { addresses: readonly { ip: string; port: number }[]; port: number }
  /** Addresses that Services have, and nothing else. */
  serviceRange: string
}

/** Every sandbox may ask for names; the API server is reached by those whose egress allows it. */
export function doorsPiece({ gateway, dns, api, serviceRange }: Doors): RulePiece {
  const to = (protocol: string, port: number): string => `meta l4proto ${protocol} dnat ip to ${gateway}:${port}`
  return {
    chains: [
      { name: 'names_udp', rules: [to('udp', dns.udpPort)] },
      { name: 'names_tcp', rules: [to('tcp', dns.tcpPort)] },
      { name: 'api', rules: [to('tcp', api.port)] },
    ],
    elements: [
      { set: 'virtual', key: serviceRange },
      { set: 'served', key: `udp . ${dns.udpPort}` },
      { set: 'served', key: `tcp . ${dns.tcpPort}` },
      { set: 'doors', key: `tcp . ${api.port}` },
      { set: 'services', key: `${dns.address} . udp . 53`, value: 'goto names_udp' },
      { set: 'services', key: `${dns.address} . tcp . 53`, value: 'goto names_tcp' },
      ...api.addresses.map(({ ip, port }) => ({ set: 'services', key: `${ip} . tcp . ${port}`, value: 'goto api' })),
    ],
  }
}

function listen(server: Server, host: string): Promise<number> {
  const { promise, resolve, reject } = Promise.withResolvers<number>()
  server.once('error', reject)
  server.listen({ host, port: 0 }, () => {
    server.off('error', reject)
    const address = server.address()
    resolve(typeof address === 'object' && address ? address.port : 0)
  })
  return promise
}
