/** SPDY/3.1 frames, as far as Kubernetes' streaming uses them: encoding, and a parser that takes bytes as they come. */
import { SpdyError } from './spdy-error.ts'

const SPDY_VERSION = 3
const FRAME_HEADER_BYTES = 8
const FLAG_FIN = 0x01

/**
 * Payload bound of a control frame. client-go's largest carries a handful of short headers; 64 KiB is what other
 * servers allow for an HTTP header section.
 */
export const MAX_CONTROL_BYTES = 64 * 1024

const CONTROL_TYPES = {
  synStream: 1,
  synReply: 2,
  rstStream: 3,
  settings: 4,
  ping: 6,
  goAway: 7,
  headers: 8,
  windowUpdate: 9,
} as const

const SETTING_INITIAL_WINDOW_SIZE = 7

export const RST_STATUS = {
  protocolError: 1,
  refusedStream: 3,
  cancel: 5,
  internalError: 6,
} as const

export type RstStatus = (typeof RST_STATUS)[keyof typeof RST_STATUS]

export const GO_AWAY_STATUS = { ok: 0, protocolError: 1 } as const

export type GoAwayStatus = (typeof GO_AWAY_STATUS)[keyof typeof GO_AWAY_STATUS]

export type Frame =
  | { type: 'syn-stream'; streamId: number; fin: boolean; headerBlock: Buffer }
  | { type: 'syn-reply'; streamId: number; fin: boolean; headerBlock: Buffer }
  | { type: 'headers'; streamId: number; fin: boolean; headerBlock: Buffer }
  | { type: 'rst-stream'; streamId: number; status: number }
  | { type: 'settings'; initialWindowSize: number | undefined }
  | { type: 'ping'; id: number }
  | { type: 'go-away'; lastStreamId: number; status: number }
  | { type: 'window-update'; streamId: number; delta: number }
  /** One frame on the wire becomes several of these where it arrives in pieces; only the last can have `fin`. */
  | { type: 'data'; streamId: number; fin: boolean; data: Buffer }

function controlFrame(type: number, flags: number, payload: Buffer): Buffer {
  const frame = Buffer.allocUnsafe(FRAME_HEADER_BYTES + payload.length)
  frame.writeUInt16BE(0x8000 | SPDY_VERSION, 0)
  frame.writeUInt16BE(type, 2)
  frame.writeUInt32BE(((flags << 24) | payload.length) >>> 0, 4)
  payload.copy(frame, FRAME_HEADER_BYTES)
  return frame
}

function words(...values: number[]): Buffer {
  const bytes = Buffer.allocUnsafe(values.length * 4)
  values.forEach((value, index) => bytes.writeUInt32BE(value, index * 4))
  return bytes
}

export function synStreamFrame(streamId: number, headerBlock: Buffer): Buffer {
  // No associated stream, priority 0, slot 0.
  return controlFrame(CONTROL_TYPES.synStream, 0, Buffer.concat([words(streamId, 0), Buffer.alloc(2), headerBlock]))
}

export function synReplyFrame(streamId: number, headerBlock: Buffer): Buffer {
  return controlFrame(CONTROL_TYPES.synReply, 0, Buffer.concat([words(streamId), headerBlock]))
}

export function rstStreamFrame(streamId: number, status: RstStatus): Buffer {
  return controlFrame(CONTROL_TYPES.rstStream, 0, words(streamId, status))
}

export function pingFrame(id: number): Buffer {
  return controlFrame(CONTROL_TYPES.ping, 0, words(id))
}

export function goAwayFrame(lastStreamId: number, status: GoAwayStatus): Buffer {
  return controlFrame(CONTROL_TYPES.goAway, 0, words(lastStreamId, status))
}

export function windowUpdateFrame(streamId: number, delta: number): Buffer {
  return controlFrame(CONTROL_TYPES.windowUpdate, 0, words(streamId, delta))
}

/** The eight bytes before `length` bytes of data, which are at most 2^24 - 1. */
export function dataFrameHeader(streamId: number, length: number, fin: boolean): Buffer {
  return words(streamId, (((fin ? FLAG_FIN : 0) << 24) | length) >>> 0)
}

export interface FrameParser {
  /** Takes the next bytes and yields what they complete. Throws a SpdyError (`protocol`, `too-large`); the parser is then done for. */
  parse(chunk: Buffer): Generator<Frame, void>
}

/** Holds at most one control frame's payload; data is passed on as it arrives and never collected. */
export function createFrameParser(): FrameParser {
  const header = Buffer.alloc(FRAME_HEADER_BYTES)
  let headerLength = 0
  let control: { type: number; flags: number; payload: Buffer; length: number } | undefined
  let data: { streamId: number; fin: boolean; remaining: number } | undefined
  let skip = 0

  function* parse(chunk: Buffer): Generator<Frame, void> {
    let offset = 0
    while (offset < chunk.length) {
      if (skip > 0) {
        const taken = Math.min(skip, chunk.length - offset)
        skip -= taken
        offset += taken
      } else if (data) {
        const end = Math.min(offset + data.remaining, chunk.length)
        const piece = chunk.subarray(offset, end)
        data.remaining -= piece.length
        offset = end
        const last = data.remaining === 0
        const { streamId, fin } = data
        if (last) data = undefined
        yield { type: 'data', streamId, fin: fin && last, data: piece }
      } else if (control) {
        const copied = chunk.copy(control.payload, control.length, offset)
        control.length += copied
        offset += copied
        if (control.length === control.payload.length) {
          const { type, flags, payload } = control
          control = undefined
          yield* decodeControl(type, flags, payload)
        }
      } else {
        const copied = chunk.copy(header, headerLength, offset)
        headerLength += copied
        offset += copied
        if (headerLength === FRAME_HEADER_BYTES) {
          headerLength = 0
          yield* begin()
        }
      }
    }
  }

  function* begin(): Generator<Frame, void> {
    const first = header.readUInt32BE(0)
    const flags = header.readUInt8(4)
    const length = header.readUIntBE(5, 3)
    if (first >>> 31 === 0) {
      if (first === 0) throw new SpdyError('protocol', 'a DATA frame names stream 0, which does not exist')
      const fin = (flags & FLAG_FIN) !== 0
      if (length === 0) yield { type: 'data', streamId: first, fin, data: Buffer.alloc(0) }
      else data = { streamId: first, fin, remaining: length }
      return
    }
    const version = (first >>> 16) & 0x7fff
    if (version !== SPDY_VERSION) {
      throw new SpdyError('protocol', `expected SPDY version ${SPDY_VERSION}, found ${version}`)
    }
    const type = first & 0xffff
    // An unknown type is to be ignored (SPDY draft 3, 2.2.1): its payload is passed over, never held.
    if (!KNOWN_TYPES.has(type)) {
      skip = length
      return
    }
    if (length > MAX_CONTROL_BYTES) {
      throw new SpdyError('too-large', `a control frame has ${length} bytes, at most ${MAX_CONTROL_BYTES} are accepted`)
    }
    if (length === 0) yield* decodeControl(type, flags, Buffer.alloc(0))
    else control = { type, flags, payload: Buffer.allocUnsafe(length), length: 0 }
  }

  return { parse }
}

const KNOWN_TYPES: ReadonlySet<number> = new Set(Object.values(CONTROL_TYPES))

function* decodeControl(type: number, flags: number, payload: Buffer): Generator<Frame, void> {
  const fin = (flags & FLAG_FIN) !== 0
  switch (type) {
    case CONTROL_TYPES.synStream:
      atLeast(payload, 10, 'SYN_STREAM')
      yield { type: 'syn-stream', streamId: streamIdAt(payload, 0), fin, headerBlock: payload.subarray(10) }
      return
    case CONTROL_TYPES.synReply:
      atLeast(payload, 4, 'SYN_REPLY')
      yield { type: 'syn-reply', streamId: streamIdAt(payload, 0), fin, headerBlock: payload.subarray(4) }
      return
    case CONTROL_TYPES.headers:
      atLeast(payload, 4, 'HEADERS')
      yield { type: 'headers', streamId: streamIdAt(payload, 0), fin, headerBlock: payload.subarray(4) }
      return
    case CONTROL_TYPES.rstStream:
      exactly(payload, 8, 'RST_STREAM')
      yield { type: 'rst-stream', streamId: streamIdAt(payload, 0), status: payload.readUInt32BE(4) }
      return
    case CONTROL_TYPES.settings:
      yield { type: 'settings', initialWindowSize: initialWindowSize(payload) }
      return
    case CONTROL_TYPES.ping:
      exactly(payload, 4, 'PING')
      yield { type: 'ping', id: payload.readUInt32BE(0) }
      return
    case CONTROL_TYPES.goAway:
      exactly(payload, 8, 'GOAWAY')
      yield { type: 'go-away', lastStreamId: payload.readUInt32BE(0) & 0x7fffffff, status: payload.readUInt32BE(4) }
      return
    case CONTROL_TYPES.windowUpdate:
      exactly(payload, 8, 'WINDOW_UPDATE')
      // Stream 0 is the connection itself (SPDY/3.1).
      yield {
        type: 'window-update',
        streamId: payload.readUInt32BE(0) & 0x7fffffff,
        delta: payload.readUInt32BE(4) & 0x7fffffff,
      }
  }
}

function initialWindowSize(payload: Buffer): number | undefined {
  atLeast(payload, 4, 'SETTINGS')
  const count = payload.readUInt32BE(0)
  exactly(payload, 4 + count * 8, 'SETTINGS')
  let size: number | undefined
  for (let offset = 4; offset < payload.length; offset += 8) {
    if (payload.readUIntBE(offset + 1, 3) === SETTING_INITIAL_WINDOW_SIZE) {
      size = payload.readUInt32BE(offset + 4) & 0x7fffffff
    }
  }
  return size
}

function streamIdAt(payload: Buffer, offset: number): number {
  const id = payload.readUInt32BE(offset) & 0x7fffffff
  if (id === 0) throw new SpdyError('protocol', 'a frame names stream 0, which does not exist')
  return id
}

function atLeast(payload: Buffer, bytes: number, frame: string): void {
  if (payload.length < bytes) {
    throw new SpdyError('protocol', `a ${frame} frame has ${payload.length} bytes, at least ${bytes} are needed`)
  }
}

function exactly(payload: Buffer, bytes: number, frame: string): void {
  if (payload.length !== bytes) {
    throw new SpdyError('protocol', `a ${frame} frame has ${payload.length} bytes instead of ${bytes}`)
  }
}
