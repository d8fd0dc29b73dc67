/** What listens on the gateway address for sandboxes: the cluster's names, and the way to the API server. */
import { connect, createServer, isIPv4, type Server, type Socket } from 'node:net'
import type { RulePiece } from '@caisson/runtime'
import { createRateLimit } from '../rate-limit.ts'
import { createShares } from '../shares.ts'
import { carryBytes } from './carry-bytes.ts'

/** Where the API server listens, which sandboxes cannot reach. */
export interface ApiServerAddress {
  host: string
  port: number
}

export interface GatewayDoor extends AsyncDisposable {
  port: number
  /** Ends the connections of those who may not be here any more. */
  recheck(): void
}

export interface DoorLimits {
  /** Connections of all sandboxes together, and of one. */
  all: number
  each: number
  /** New connections of one sandbox: sustained, and at once. */
  perSecond: number
  burst: number
}

/**
 * Few enough that one sandbox leaves room among the API server's strangers: it knows nobody before a handshake, and would
 * make room for each by closing the oldest such connection, whosever it is.
 */
const API_LIMITS: DoorLimits = { all: 2_048, each: 32, perSecond: 20, burst: 50 }

export interface GatewayDoorOptions {
  host: string
  /** Where to a sandbox's bytes go. */
  connect(ip: string): Socket | Promise<Socket>
  /** Of the Pod with this address; its Pods share what there is of connections. */
  namespaceOf(ip: string): string
  /** Who may, where the kernel lets everybody come. */
  may?(ip: string): boolean
  limits: DoorLimits
  now?: () => number
}

/** Carries bytes between sandboxes and what listens elsewhere on this machine. */
export async function openGatewayDoor(options: GatewayDoorOptions): Promise<GatewayDoor> {
  const { host, limits, may = () => true, now = Date.now } = options
  const sockets = new Set<Socket>()
  const inside = new Map<Socket, string>()
  const held = createShares({ ...limits, groupOf: options.namespaceOf })
  const limit = createRateLimit({ ...limits, now })
  const server = createServer({ allowHalfOpen: true, noDelay: true, pauseOnConnect: true }, (socket) => {
    const ip = socket.remoteAddress ?? ''
    socket.on('error', () => socket.destroy())
    const giveBack = may(ip) && limit.take(ip) ? held.take(ip) : undefined
    if (!giveBack) {
      socket.destroy()
      return
    }
    inside.set(socket, ip)
    socket.on('close', () => {
      inside.delete(socket)
      giveBack()
    })
    void carry(socket, ip)
  })
  async function carry(socket: Socket, ip: string): Promise<void> {
    try {
      const outside = await options.connect(ip)
      if (socket.destroyed) outside.destroy()
      else carryBytes(socket, outside, sockets)
    } catch {
      // Nobody is there: what comes would only wait.
      socket.destroy()
    }
  }
  const port = await listen(server, host)
  return {
    port,
    recheck() {
      for (const [socket, ip] of inside) if (!may(ip)) socket.destroy()
    },
    async [Symbol.asyncDispose]() {
      for (const socket of [...sockets, ...inside.keys()]) socket.destroy()
      await new Promise((resolve) => server.close(resolve))
    },
  }
}

export interface ApiDoorOptions extends Pick<GatewayDoorOptions, 'host' | 'namespaceOf' | 'now'> {
  api: ApiServerAddress
}

/** Carries bytes from the gateway to the API server, which asks who comes as it asks everybody. */
export function openApiDoor({ api, ...options }: ApiDoorOptions): Promise<GatewayDoor> {
  return openGatewayDoor({
    ...options,
    limits: API_LIMITS,
    connect: (ip) => connect({ ...api, ...localAddress(ip, api.host), allowHalfOpen: true, noDelay: true }),
  })
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
  /** Ports that decide themselves who may connect. */
  others: readonly number[]
  /** Addresses that Services have, and nothing else. */
  serviceRange: string
}

/** Every sandbox may ask for names; the API server is reached by those whose egress allows it. */
export function doorsPiece({ gateway, dns, api, others, serviceRange }: Doors): RulePiece {
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
      ...others.map((port) => ({ set: 'served', key: `tcp . ${port}` })),
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
