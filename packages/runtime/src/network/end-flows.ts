/** Takes connections out of the kernel's table, which would remember those that nobody closed for five days: by netlink. */
import { setTimeout } from 'node:timers/promises'
import { openSystemCalls, type SystemCalls } from '../kernel/system-calls.ts'

const AF_NETLINK = 16
const AF_INET = 2
const SOCK_RAW = 3
const SOCK_NONBLOCK = 0x800
const SOCK_CLOEXEC = 0x8_0000
const NETLINK_NETFILTER = 12

const NLM_F_REQUEST = 0x1
const NLM_F_DUMP = 0x300
const NLMSG_ERROR = 2
const NLMSG_DONE = 3
/** IPCTNL_MSG_CT_NEW, as a dump has them, _GET and _DELETE, of NFNL_SUBSYS_CTNETLINK. */
const CT_NEW = 0x100
const CT_GET = 0x101
const CT_DELETE = 0x102
const CTA_TUPLE_ORIG = 1
const CTA_ID = 12
const CTA_ZONE = 18
const CTA_FILTER = 25
const CTA_TUPLE_IP = 1
const CTA_IP_V4_SRC = 1
const CTA_FILTER_ORIG_FLAGS = 1
const CTA_FILTER_REPLY_FLAGS = 2
const BY_SOURCE = 1
const NESTED = 0x8000
/** Bytes of `struct nlmsghdr`, and of it with the `struct nfgenmsg` behind. */
const HEADER = 16
const HEADERS = 20

/** A message of the kernel's is no longer. */
const READ_BYTES = 32 * 1024
const ENDED_AT_ONCE = 1_000
/** Ending those of one address costs a program, those of more hardly more. */
const TOGETHER_MS = 500

/**
 * Ends what the kernel follows of all that an address has begun: for that, there must be nobody any more who sends from it.
 * Resolves when that is done, together with those of others who go at the time. Rejects where the kernel has no such
 * interface.
 *
 * @param address IPv4, with dots
 */
export type EndFlows = (address: string) => Promise<void>

/**
 * @param programs a private directory for the program that makes the system calls
 * @param hurry from then on nobody else is waited for
 */
export function flowEnder(programs: string, hurry: AbortSignal): EndFlows {
  let waiting: { addresses: string[]; done: Promise<void> } | undefined

  async function endTogether(addresses: readonly string[]): Promise<void> {
    await setTimeout(TOGETHER_MS, undefined, { ref: false, signal: hurry }).catch(() => {})
    waiting = undefined
    await endFlows(programs, addresses)
  }

  return (address) => {
    if (!waiting) {
      const addresses: string[] = []
      waiting = { addresses, done: endTogether(addresses) }
    }
    waiting.addresses.push(address)
    return waiting.done
  }
}

async function endFlows(programs: string, addresses: readonly string[]): Promise<void> {
  const calls = await openSystemCalls(programs)
  try {
    for (const address of addresses) await endFlowsOf(Uint8Array.from(address.split('.').map(Number)), calls)
  } finally {
    await calls[Symbol.asyncDispose]()
  }
}

/** By a socket of its own: what the kernel says of what could not be ended stays unread there. */
async function endFlowsOf(source: Uint8Array, calls: SystemCalls): Promise<void> {
  const opening = calls.batch()
  const opened = opening.must('socket', AF_NETLINK, SOCK_RAW | SOCK_NONBLOCK | SOCK_CLOEXEC, NETLINK_NETFILTER)
  const question = questionFor(source)
  opening.must('write', opened, question, question.length)
  await opening.run()
  const socket = opening.result(opened)
  const flows = await readFlows(calls, socket, source)
  for (let at = 0; at < flows.length; at += ENDED_AT_ONCE) {
    const ending = calls.batch()
    const messages = Buffer.concat(flows.slice(at, at + ENDED_AT_ONCE))
    ending.must('write', socket, messages, messages.length)
    await ending.run()
  }
  const closing = calls.batch()
  closing.call('close', socket)
  await closing.run()
}

function questionFor(source: Uint8Array): Buffer {
  const flags = Buffer.alloc(4)
  flags.writeUInt32LE(BY_SOURCE)
  return message(CT_GET, NLM_F_REQUEST | NLM_F_DUMP, [
    attribute(CTA_TUPLE_ORIG | NESTED, attribute(CTA_TUPLE_IP | NESTED, attribute(CTA_IP_V4_SRC, source))),
    attribute(
      CTA_FILTER | NESTED,
      Buffer.concat([attribute(CTA_FILTER_ORIG_FLAGS, flags), attribute(CTA_FILTER_REPLY_FLAGS, Buffer.alloc(4))]),
    ),
  ])
}

/** @returns for each flow the message that ends it */
async function readFlows(calls: SystemCalls, socket: number, source: Uint8Array): Promise<Buffer[]> {
  const flows: Buffer[] = []
  for (;;) {
    const batch = calls.batch()
    const room = batch.room(READ_BYTES)
    const read = batch.call('read', socket, room, READ_BYTES)
    await batch.run()
    const bytes = batch.result(read)
    // The kernel writes the next part when there is room for it: where nothing is there, nothing comes.
    if (bytes < 0) return flows
    for (const { type, body } of split(batch.bytes(room).subarray(0, bytes))) {
      if (type === NLMSG_DONE) return flows
      if (type === NLMSG_ERROR) throw new Error(`the kernel does not list its connections: error ${body.readInt32LE()}`)
      const flow = type === CT_NEW ? endingOf(body, source) : undefined
      if (flow) flows.push(flow)
    }
  }
}

/** Nothing for those of others, which kernels before 5.8 give too. */
function endingOf(body: Buffer, source: Uint8Array): Buffer | undefined {
  const attributes = attributesOf(body.subarray(HEADERS - HEADER))
  const tuple = attributes.get(CTA_TUPLE_ORIG)
  const ip = tuple && attributesOf(tuple).get(CTA_TUPLE_IP)
  const from = ip && attributesOf(ip).get(CTA_IP_V4_SRC)
  if (!tuple || !from?.equals(source)) return undefined
  const kept = [CTA_ID, CTA_ZONE].flatMap((type) => {
    const value = attributes.get(type)
    return value ? [attribute(type, value)] : []
  })
  return message(CT_DELETE, NLM_F_REQUEST, [attribute(CTA_TUPLE_ORIG | NESTED, tuple), ...kept])
}

function message(type: number, flags: number, attributes: readonly Buffer[]): Buffer {
  const headers = Buffer.alloc(HEADERS)
  const whole = Buffer.concat([headers, ...attributes])
  whole.writeUInt32LE(whole.length, 0)
  whole.writeUInt16LE(type, 4)
  whole.writeUInt16LE(flags, 6)
  whole.writeUInt8(AF_INET, HEADER)
  return whole
}

function attribute(type: number, value: Uint8Array): Buffer {
  const whole = Buffer.alloc(aligned(4 + value.length))
  whole.writeUInt16LE(4 + value.length, 0)
  whole.writeUInt16LE(type, 2)
  whole.set(value, 4)
  return whole
}

function attributesOf(bytes: Buffer): Map<number, Buffer> {
  const found = new Map<number, Buffer>()
  for (let at = 0; at + 4 <= bytes.length; ) {
    const length = Math.max(bytes.readUInt16LE(at), 4)
    found.set(bytes.readUInt16LE(at + 2) & ~NESTED, bytes.subarray(at + 4, at + length))
    at += aligned(length)
  }
  return found
}

function* split(bytes: Buffer): Generator<{ type: number; body: Buffer }> {
  for (let at = 0; at + HEADER <= bytes.length; ) {
    const length = Math.max(bytes.readUInt32LE(at), HEADER)
    yield { type: bytes.readUInt16LE(at + 4), body: bytes.subarray(at + HEADER, at + length) }
    at += aligned(length)
  }
}

function aligned(length: number): number {
  return Math.ceil(length / 4) * 4
}
