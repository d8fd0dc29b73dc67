/** Asks this machine's name servers about names that are not the cluster's. */
import { randomInt } from 'node:crypto'
import { createSocket } from 'node:dgram'
import { readFile } from 'node:fs/promises'
import { connect, isIP } from 'node:net'
import { createShares } from '../shares.ts'

export interface Upstream {
  /**
   * What a name server says to a query, with the id of that query. Rejects where none says anything in time, and at once
   * where too many wait already, of its namespace or of whoever asks: `ip`.
   */
  ask(query: Buffer, options: { ip: string; tcp: boolean; signal: AbortSignal }): Promise<Buffer>
}

const TIMEOUT_MS = 2_000
/** With all servers. */
const TOTAL_MS = 5_000
/** Of all sandboxes together, and of one. */
const MOST_AT_ONCE = { all: 512, each: 16 }
const SERVERS = 3
const LARGEST = 65_535

/** @param namespaceOf of the Pod with an address: its Pods share what may be asked at once. */
export function createUpstream(namespaceOf: (ip: string) => string, resolverFile = '/etc/resolv.conf'): Upstream {
  const waiting = createShares({ ...MOST_AT_ONCE, groupOf: namespaceOf })

  async function servers(): Promise<string[]> {
    const text = await readFile(resolverFile, 'utf8').catch(() => '')
    const found = [...text.matchAll(/^[ \t]*nameserver[ \t]+(\S+)/gm)].map((match) => match[1] ?? '')
    return found.filter((each) => isIP(each.split('%')[0] ?? '') !== 0).slice(0, SERVERS)
  }

  return {
    async ask(query, { ip, tcp, signal: stopped }) {
      const giveBack = waiting.take(ip)
      if (!giveBack) throw new Error('too many names are being looked up')
      const signal = AbortSignal.any([stopped, AbortSignal.timeout(TOTAL_MS)])
      try {
        let last: unknown = new Error(`${resolverFile} names no server`)
        for (const server of await servers()) {
          try {
            return await askOne(query, {
              server,
              tcp,
              signal: AbortSignal.any([signal, AbortSignal.timeout(TIMEOUT_MS)]),
            })
          } catch (error) {
            signal.throwIfAborted()
            last = error
          }
        }
        throw last
      } finally {
        giveBack()
      }
    },
  }
}

interface AskOptions {
  server: string
  tcp: boolean
  signal: AbortSignal
}

/** From a port and with an id of its own, so that nobody who did not see the query can answer it. */
async function askOne(query: Buffer, { server, tcp, signal }: AskOptions): Promise<Buffer> {
  const id = randomInt(0x1_0000)
  const own = Buffer.from(query)
  own.writeUInt16BE(id)
  const reply = tcp ? await overTcp(own, server, signal) : await overUdp(own, { server, signal, id })
  if (reply.length < 12 || reply.readUInt16BE(0) !== id) throw new Error(`${server} answered something else`)
  const answer = Buffer.from(reply)
  query.copy(answer, 0, 0, 2)
  return answer
}

async function overUdp(
  query: Buffer,
  { server, signal, id }: { server: string; signal: AbortSignal; id: number },
): Promise<Buffer> {
  const socket = createSocket(isIP(server) === 6 ? 'udp6' : 'udp4')
  const { promise, resolve, reject } = Promise.withResolvers<Buffer>()
  const abort = (): void => reject(signal.reason as Error)
  signal.addEventListener('abort', abort, { once: true })
  try {
    socket.on('error', reject)
    socket.on('message', (message) => {
      if (message.length >= 12 && message.readUInt16BE(0) === id) resolve(message)
    })
    // Connected: the kernel takes nothing from anybody else.
    socket.connect(53, server, () => socket.send(query))
    return await promise
  } finally {
    signal.removeEventListener('abort', abort)
    socket.close()
  }
}

async function overTcp(query: Buffer, server: string, signal: AbortSignal): Promise<Buffer> {
  const socket = connect({ host: server, port: 53 })
  const { promise, resolve, reject } = Promise.withResolvers<Buffer>()
  const abort = (): void => reject(signal.reason as Error)
  signal.addEventListener('abort', abort, { once: true })
  try {
    const length = Buffer.alloc(2)
    length.writeUInt16BE(query.length)
    socket.on('error', reject).on('close', () => reject(new Error(`${server} closed the connection`)))
    socket.write(Buffer.concat([length, query]))
    let received = Buffer.alloc(0)
    socket.on('data', (chunk: Buffer) => {
      received = Buffer.concat([received, chunk]).subarray(0, LARGEST + 2)
      if (received.length < 2) return
      const end = 2 + received.readUInt16BE(0)
      if (received.length >= end) resolve(received.subarray(2, end))
    })
    return await promise
  } finally {
    signal.removeEventListener('abort', abort)
    socket.destroy()
  }
}
