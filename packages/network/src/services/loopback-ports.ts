/** Ports of this machine's loopback that lead to Pods: NodePorts of Services, and ports that Pods publish. */
import { createSocket, type Socket as UdpSocket } from 'node:dgram'
import { connect, createServer, type Server, type Socket } from 'node:net'
import { carryBytes } from './carry-bytes.ts'
import type { Target } from './service-model.ts'

export interface LoopbackPort {
  protocol: 'tcp' | 'udp'
  /** Of 127.0.0.0/8. */
  address: string
  port: number
  /** Asked for each connection, or each sender of datagrams. */
  target(): Target | undefined
  /** Where there is no target: whoever connects over TCP waits for this, and is carried to what it resolves with. */
  awaken?(): Promise<Target | undefined>
  /** It leaves its place to whoever opens the same. Those who wait go on waiting, and with them who comes before they are let go. */
  placeholder?: true
}

export interface LoopbackPorts extends AsyncDisposable {
  /** Resolves when it listens; rejects where something else does already. Under a key that is in use it replaces what was there. */
  open(key: string, port: LoopbackPort): Promise<void>
  /**
   * The same, and where it cannot be open it is as soon as it can: why it is not is told once, by its key. Resolves when
   * that was tried, and never rejects.
   */
  keep(key: string, port: LoopbackPort): Promise<void>
  close(key: string): Promise<void>
}

const CONNECTIONS = 1_024
const UDP_SENDERS = 256
/** As a connection tracker forgets them. */
const UDP_IDLE_MS = 60_000
/** That another program has gone from a port nobody tells. */
const RETRY_MS = 10_000

/**
 * In this process, not in the kernel: to redirect from loopback a kernel has to be told to route 127.0.0.0/8, which would
 * open the machine's loopback to whoever gets past one rule.
 */
export function createLoopbackPorts(
  onError: (error: unknown, where: string) => void,
  { retryMs = RETRY_MS } = {},
): LoopbackPorts {
  const opened = new Map<string, { port: LoopbackPort; listener: Listener }>()
  /** Those that have left their place, while somebody is still connected. */
  const left = new Set<Listener>()
  /** Kept, and not open. */
  const waiting = new Map<string, LoopbackPort>()
  let timer: NodeJS.Timeout | undefined
  let last: Promise<unknown> = Promise.resolve()

  function inOrder(work: () => Promise<void>): Promise<void> {
    const result = last.then(work)
    last = result.catch(() => {})
    return result
  }

  async function open(key: string, port: LoopbackPort): Promise<void> {
    const known = opened.get(key)
    if (known && samePlace(known.port, port)) return lead(key, port, known.listener)
    await close(key)
    for (const [other, { port: held, listener }] of opened) {
      if (!held.placeholder || !samePlace(held, port)) continue
      opened.delete(other)
      waiting.set(other, held)
      // It listens all the time: nobody is refused between the two.
      return lead(key, port, listener)
    }
    opened.set(key, {
      port,
      listener: port.protocol === 'tcp' ? await listenTcp(port) : await listenUdp(port, onError),
    })
  }

  function lead(key: string, port: LoopbackPort, listener: Listener): void {
    listener.lead(port)
    opened.set(key, { port, listener })
  }

  /** Whoever is connected waits for what is woken. */
  function leave(listener: Listener): void {
    left.add(listener)
    void listener.leave().then(() => left.delete(listener))
  }

  async function keep(key: string, port: LoopbackPort): Promise<void> {
    try {
      await open(key, port)
      waiting.delete(key)
    } catch (error) {
      if (!waiting.has(key)) onError(error, key)
      waiting.set(key, port)
      timer ??= setTimeout(() => {
        timer = undefined
        void inOrder(() => keepAll([...waiting]))
      }, retryMs).unref()
    }
  }

  async function keepAll(ports: ReadonlyArray<[key: string, port: LoopbackPort]>): Promise<void> {
    for (const [key, port] of ports) await keep(key, port)
  }

  async function close(key: string): Promise<void> {
    const known = opened.get(key)
    if (!known) return
    opened.delete(key)
    if (known.port.placeholder) leave(known.listener)
    else await known.listener[Symbol.asyncDispose]()
    await keepAll([...waiting].filter(([, port]) => samePlace(port, known.port)))
  }

  return {
    open: (key, port) => inOrder(() => open(key, port)),
    keep: (key, port) => inOrder(() => keep(key, port)),
    close: (key) =>
      inOrder(async () => {
        waiting.delete(key)
        await close(key)
      }),
    [Symbol.asyncDispose]: () =>
      inOrder(async () => {
        clearTimeout(timer)
        waiting.clear()
        await Promise.all([...[...opened.keys()].map(close), ...[...left].map((each) => each[Symbol.asyncDispose]())])
      }),
  }
}

function samePlace(one: LoopbackPort, other: LoopbackPort): boolean {
  return one.protocol === other.protocol && one.address === other.address && one.port === other.port
}

interface Listener extends AsyncDisposable {
  /** Gives the place free at once, and resolves when the last connection has ended. */
  leave(): Promise<void>
  /** Who comes from now on is led as this says, which is of the same place. */
  lead(port: LoopbackPort): void
}

async function listenTcp(first: LoopbackPort): Promise<Listener> {
  const sockets = new Set<Socket>()
  const awaited = new Set<Promise<unknown>>()
  let port = first
  /** What has come to have the place is there, and has yet to wake. */
  let waking: Promise<undefined> | undefined
  const server = createServer({ allowHalfOpen: true, noDelay: true, pauseOnConnect: true }, (outside) => {
    const target = port.target()
    if (waking) void carryLater(outside, waking)
    else if (target || !port.awaken) carry(outside, target)
    else void carryLater(outside, port.awaken())
  })

  function carry(outside: Socket, target: Target | undefined): void {
    // It would be carried to itself.
    const isOwn = server.listening && target?.ip === port.address && target.port === port.port
    if (!target || isOwn || outside.destroyed) outside.destroy()
    else
      carryBytes(outside, connect({ host: target.ip, port: target.port, allowHalfOpen: true, noDelay: true }), sockets)
  }

  async function carryLater(outside: Socket, awakened: Promise<Target | undefined>): Promise<void> {
    sockets.add(outside)
    outside.on('error', () => outside.destroy()).on('close', () => sockets.delete(outside))
    awaited.add(awakened)
    const woken = await awakened.catch(() => undefined)
    awaited.delete(awakened)
    carry(outside, port.target() ?? woken)
  }

  async function allWoken(): Promise<undefined> {
    await Promise.allSettled(awaited)
    waking = undefined
  }

  const leave = (): Promise<void> => new Promise((resolve) => server.close(() => resolve()))
  server.maxConnections = CONNECTIONS
  await listen(server, port)
  return {
    leave,
    lead(next) {
      const isTaken = port.placeholder && !next.placeholder
      if (isTaken && awaited.size > 0) waking = allWoken()
      port = next
    },
    async [Symbol.asyncDispose]() {
      for (const socket of sockets) socket.destroy()
      await leave()
    },
  }
}

async function listenUdp(first: LoopbackPort, onError: (error: unknown, where: string) => void): Promise<Listener> {
  let port = first
  const senders = new Map<string, { inside: UdpSocket; idle: NodeJS.Timeout; connected: boolean }>()
  const outside = createSocket('udp4')

  function end(key: string): void {
    const known = senders.get(key)
    if (!known) return
    clearTimeout(known.idle)
    senders.delete(key)
    known.inside.close()
  }

  outside.on('message', (message, from) => {
    const key = `${from.address} ${from.port}`
    const known = senders.get(key)
    if (known) {
      known.idle.refresh()
      // One that comes before is lost, as datagrams may be: Node throws for it.
      if (known.connected) known.inside.send(message)
      return
    }
    const target = port.target()
    if (!target || senders.size >= UDP_SENDERS) return
    const inside = createSocket('udp4')
    const sender = { inside, idle: setTimeout(() => end(key), UDP_IDLE_MS).unref(), connected: false }
    senders.set(key, sender)
    inside.on('error', () => end(key))
    inside.on('message', (reply) => outside.send(reply, from.port, from.address))
    // Not as its callback, which is called with errors too.
    inside.once('connect', () => {
      sender.connected = true
      inside.send(message)
    })
    inside.connect(target.port, target.ip)
  })
  const { promise, resolve, reject } = Promise.withResolvers<void>()
  outside.once('error', reject)
  outside.bind(port.port, port.address, resolve)
  await promise.catch((error: unknown) => {
    outside.close()
    throw error
  })
  outside.off('error', reject).on('error', (error) => onError(error, `${port.address}:${port.port}`))
  async function leave(): Promise<void> {
    for (const key of senders.keys()) end(key)
    await new Promise<void>((closed) => outside.close(() => closed()))
  }
  return {
    leave,
    lead(next) {
      port = next
    },
    [Symbol.asyncDispose]: leave,
  }
}

function listen(server: Server, { address, port }: LoopbackPort): Promise<void> {
  const { promise, resolve, reject } = Promise.withResolvers<void>()
  server.once('error', reject)
  server.listen({ host: address, port }, () => {
    server.off('error', reject)
    resolve()
  })
  return promise
}
