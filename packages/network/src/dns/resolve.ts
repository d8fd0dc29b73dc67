/** One query of one sandbox, from its bytes to the bytes of the answer. */
import {
  type Answer,
  AUTHORITATIVE_ANSWER,
  decode,
  encode,
  type Packet,
  RECURSION_AVAILABLE,
  RECURSION_DESIRED,
  TRUNCATED_RESPONSE,
} from 'dns-packet'
import type { MayAsk } from './may-ask.ts'
import { type Answered, answer, type NameView } from './records.ts'
import type { Upstream } from './upstream.ts'

export interface ResolveOptions {
  view: NameView
  upstream: Upstream
  /** What this sandbox may ask for: names of the cluster alone are those that nobody outside is asked for. */
  mayAsk: MayAsk
  /** Whose query it is. */
  ip: string
  tcp: boolean
  signal: AbortSignal
}

const RCODE = { ok: 0, formatError: 1, serverFailure: 2, nameError: 3, notImplemented: 4, refused: 5 } as const
type Rcode = keyof typeof RCODE

const HEADER_BYTES = 12
/** A name has at most 255 bytes; what else is in a query is small. */
const LARGEST_QUERY = 512
const PLAIN_UDP_BYTES = 512
/** What fits into every network's packets. */
const LARGEST_UDP_BYTES = 1_232
/** An answer by TCP says how long it is in two bytes. */
const LARGEST_TCP_BYTES = 65_535
/** Of an address in an answer, whatever its name is. */
const SMALLEST_RECORD_BYTES = 16
const NEGATIVE_TTL_SECONDS = 5

/** Undefined for what deserves no answer: what is no query at all. */
export async function resolve(query: Buffer, options: ResolveOptions): Promise<Buffer | undefined> {
  if (query.length < HEADER_BYTES || (query[2] ?? 0) & 0x80) return undefined
  if (query.length > LARGEST_QUERY) return refuse(query, 'formatError')
  if (((query[2] ?? 0) >> 3) & 0xf) return refuse(query, 'notImplemented')
  const packet = read(query)
  const [question] = packet?.questions ?? []
  if (!packet || !question || packet.questions?.length !== 1) return refuse(query, 'formatError')
  if (options.mayAsk === 'nothing') return refuse(query, 'refused')
  const found = answer(question, options.view)
  if (found.kind === 'alias')
    return reply(packet, 'ok', { ...options, answers: await followed(found, packet, options) })
  if (found.kind === 'foreign') return await forward(query, packet, options)
  const { domain } = options.view
  if (found.kind === 'answer') return reply(packet, 'ok', { ...options, ...found })
  return reply(packet, found.kind === 'empty' ? 'ok' : 'nameError', { ...options, authorities: [authority(domain)] })
}

function read(query: Buffer): Packet | undefined {
  try {
    return decode(query)
  } catch {
    return undefined
  }
}

async function forward(query: Buffer, packet: Packet, options: ResolveOptions): Promise<Buffer> {
  const { upstream, mayAsk, ip, tcp, signal } = options
  const [question] = packet.questions ?? []
  // Every name that left the machine could carry a secret out of it.
  if (mayAsk !== 'everything') return refuse(query, 'refused')
  // Sandboxes have no IPv6: an address that they cannot reach would only cost them time.
  if (question?.type === 'AAAA') return reply(packet, 'ok', options)
  try {
    const answered = await upstream.ask(query, { ip, tcp, signal })
    return tcp || answered.length <= udpBytes(packet) ? answered : reply(packet, 'ok', { ...options, truncated: true })
  } catch {
    signal.throwIfAborted()
    return refuse(query, 'serverFailure')
  }
}

/** The addresses of the name that an alias stands for, where the sandbox may ask for it. */
async function followed(
  { answers, target }: Extract<Answered, { kind: 'alias' }>,
  packet: Packet,
  { view, upstream, mayAsk, ip, signal }: ResolveOptions,
): Promise<Answer[]> {
  const type = packet.questions?.[0]?.type ?? 'A'
  if (type === 'CNAME' || type === 'AAAA') return answers
  const own = answer({ name: target, type }, view)
  if (own.kind === 'answer') return [...answers, ...own.answers]
  if (own.kind !== 'foreign' || mayAsk !== 'everything') return answers
  try {
    const query = encode({ type: 'query', id: 0, flags: RECURSION_DESIRED, questions: [{ type, name: target }] })
    return [...answers, ...(decode(await upstream.ask(query, { ip, tcp: true, signal })).answers ?? [])]
  } catch {
    signal.throwIfAborted()
    return answers
  }
}

interface ReplyOptions {
  tcp: boolean
  answers?: Answer[]
  additionals?: Answer[]
  authorities?: Answer[]
  truncated?: boolean
}

function reply(packet: Packet, rcode: Rcode, options: ReplyOptions): Buffer {
  const { tcp, answers = [], additionals = [], authorities = [], truncated = false } = options
  const flags = ((packet.flags ?? 0) & RECURSION_DESIRED) | RECURSION_AVAILABLE | AUTHORITATIVE_ANSWER | RCODE[rcode]
  const edns = packet.additionals?.some(({ type }) => type === 'OPT')
    ? [
        {
          type: 'OPT' as const,
          name: '.' as const,
          udpPayloadSize: LARGEST_UDP_BYTES,
          extendedRcode: 0,
          ednsVersion: 0,
          flags: 0,
          flag_do: false,
          options: [],
        },
      ]
    : []
  const base = { type: 'response' as const, id: packet.id ?? 0, questions: packet.questions ?? [] }
  const cut = (): Buffer => encode({ ...base, flags: flags | TRUNCATED_RESPONSE, additionals: edns })
  // What cannot fit need not be written to find that out.
  if (truncated || (!tcp && answers.length * SMALLEST_RECORD_BYTES > udpBytes(packet))) return cut()
  const whole = encode({ ...base, flags, answers, authorities, additionals: [...additionals, ...edns] })
  if (!tcp) return whole.length <= udpBytes(packet) ? whole : cut()
  if (whole.length <= LARGEST_TCP_BYTES) return whole
  return reply(packet, rcode, { ...options, answers: half(answers), additionals: half(additionals) })
}

function half<T>(list: readonly T[]): T[] {
  return list.slice(0, list.length >> 1)
}

/** How much its sender takes in one packet. */
function udpBytes({ additionals = [] }: Packet): number {
  const option = additionals.find(({ type }) => type === 'OPT') as { udpPayloadSize?: number } | undefined
  return Math.min(LARGEST_UDP_BYTES, Math.max(PLAIN_UDP_BYTES, option?.udpPayloadSize ?? 0))
}

/** The header and, where it can be read, the question again. */
function refuse(query: Buffer, rcode: Rcode): Buffer {
  const packet = read(query.subarray(0, LARGEST_QUERY))
  const [question] = packet?.questions ?? []
  const flags = (query.readUInt16BE(2) & RECURSION_DESIRED) | RECURSION_AVAILABLE | RCODE[rcode]
  return encode({ type: 'response', id: query.readUInt16BE(0), flags, questions: question ? [question] : [] })
}

/** Says how long a name may be taken for missing. */
function authority(domain: string): Answer {
  return {
    type: 'SOA',
    name: domain,
    ttl: NEGATIVE_TTL_SECONDS,
    data: {
      mname: `ns.dns.${domain}`,
      rname: `hostmaster.${domain}`,
      serial: 1,
      refresh: 7_200,
      retry: 1_800,
      expire: 86_400,
      minimum: NEGATIVE_TTL_SECONDS,
    },
  }
}
