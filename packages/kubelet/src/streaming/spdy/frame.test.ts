import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import {
  createFrameParser,
  dataFrameHeader,
  type Frame,
  goAwayFrame,
  MAX_CONTROL_BYTES,
  pingFrame,
  rstStreamFrame,
  synReplyFrame,
  synStreamFrame,
  windowUpdateFrame,
} from './frame.ts'
import { SpdyError } from './spdy-error.ts'

const streamId = fc.integer({ min: 1, max: 0x7fffffff })
const word = fc.integer({ min: 0, max: 0x7fffffff })
const bytes = fc.uint8Array({ maxLength: 300 }).map((array) => Buffer.from(array))

/** A frame's bytes and what they mean. */
const frame: fc.Arbitrary<[wire: Buffer, meaning: Frame]> = fc.oneof(
  fc
    .tuple(streamId, bytes)
    .map(([id, headerBlock]): [Buffer, Frame] => [
      synStreamFrame(id, headerBlock),
      { type: 'syn-stream', streamId: id, fin: false, headerBlock },
    ]),
  fc
    .tuple(streamId, bytes)
    .map(([id, headerBlock]): [Buffer, Frame] => [
      synReplyFrame(id, headerBlock),
      { type: 'syn-reply', streamId: id, fin: false, headerBlock },
    ]),
  streamId.map((id): [Buffer, Frame] => [rstStreamFrame(id, 5), { type: 'rst-stream', streamId: id, status: 5 }]),
  word.map((id): [Buffer, Frame] => [pingFrame(id), { type: 'ping', id }]),
  word.map((id): [Buffer, Frame] => [goAwayFrame(id, 1), { type: 'go-away', lastStreamId: id, status: 1 }]),
  fc
    .tuple(word, word)
    .map(([id, delta]): [Buffer, Frame] => [
      windowUpdateFrame(id, delta),
      { type: 'window-update', streamId: id, delta },
    ]),
  fc
    .tuple(streamId, bytes, fc.boolean())
    .map(([id, data, fin]): [Buffer, Frame] => [
      Buffer.concat([dataFrameHeader(id, data.length, fin), data]),
      { type: 'data', streamId: id, fin, data },
    ]),
)

/** Parses `wire` in pieces of the given sizes, and joins the pieces of each data frame again. */
function parseInPieces(wire: Buffer, sizes: readonly number[]): Frame[] {
  const parser = createFrameParser()
  const frames: Frame[] = []
  let open: (Frame & { type: 'data' }) | undefined
  for (let offset = 0, index = 0; offset < wire.length; index++) {
    const size = sizes[index % sizes.length] ?? wire.length
    for (const frame of parser.parse(wire.subarray(offset, offset + size))) {
      if (frame.type === 'data' && open && open.streamId === frame.streamId && !open.fin) {
        open.data = Buffer.concat([open.data, frame.data])
        open.fin = frame.fin
      } else {
        open = frame.type === 'data' ? { ...frame } : undefined
        frames.push(open ?? frame)
      }
    }
    offset += size
  }
  return frames
}

describe('createFrameParser', () => {
  test('however the bytes are split, the frames are the same', () => {
    fc.assert(
      fc.property(
        fc.array(frame, { maxLength: 12 }),
        fc.array(fc.integer({ min: 1, max: 40 }), { minLength: 1, maxLength: 8 }),
        (frames, sizes) => {
          const wire = Buffer.concat(frames.map(([bytes]) => bytes))
          expect(parseInPieces(wire, sizes)).toEqual(parseInPieces(wire, [wire.length]))
        },
      ),
    )
  })

  test('each frame means what it was written from', () => {
    fc.assert(
      fc.property(frame, ([wire, meaning]) => {
        expect([...createFrameParser().parse(wire)]).toEqual([meaning])
      }),
    )
  })

  test('whatever arrives, the parser yields frames or throws a SpdyError', () => {
    // Bytes that begin as a frame of some type with some length, so that the decoders are reached.
    const hostile = fc
      .tuple(fc.integer({ min: 0, max: 12 }), fc.integer({ min: 0, max: 40 }), fc.uint8Array({ maxLength: 80 }))
      .map(([type, length, rest]) => Buffer.concat([Buffer.from([0x80, 3, 0, type, 0, 0, 0, length]), rest]))
    fc.assert(
      fc.property(fc.oneof(hostile, bytes), (wire) => {
        try {
          for (const _ of createFrameParser().parse(wire)) continue
        } catch (error) {
          expect(error).toBeInstanceOf(SpdyError)
        }
      }),
      { numRuns: 2000 },
    )
  })

  test.each<[name: string, wire: number[], expected: string]>([
    [
      'a control frame over the bound',
      [0x80, 3, 0, 1, 0, 1, 0, 1],
      `a control frame has 65537 bytes, at most 65536 are accepted`,
    ],
    ['another version', [0x80, 2, 0, 1, 0, 0, 0, 10], 'expected SPDY version 3, found 2'],
    ['data for stream 0', [0, 0, 0, 0, 0, 0, 0, 1, 65], 'a DATA frame names stream 0, which does not exist'],
    [
      'a reset of stream 0',
      [0x80, 3, 0, 3, 0, 0, 0, 8, 0, 0, 0, 0, 0, 0, 0, 5],
      'a frame names stream 0, which does not exist',
    ],
    [
      'a SYN_STREAM that is too short',
      [0x80, 3, 0, 1, 0, 0, 0, 4, 0, 0, 0, 1],
      'a SYN_STREAM frame has 4 bytes, at least 10 are needed',
    ],
    ['a PING of five bytes', [0x80, 3, 0, 6, 0, 0, 0, 5, 0, 0, 0, 1, 0], 'a PING frame has 5 bytes instead of 4'],
    [
      'SETTINGS that claim four thousand million entries',
      [0x80, 3, 0, 4, 0, 0, 0, 4, 0xff, 0xff, 0xff, 0xff],
      'a SETTINGS frame has 4 bytes instead of 34359738364',
    ],
  ])('refuses %s', (_name, wire, expected) => {
    expect(() => [...createFrameParser().parse(Buffer.from(wire))]).toThrow(expected)
  })

  test('an unknown control frame of any length is passed over without being held', () => {
    const parser = createFrameParser()
    const length = 0xffffff
    expect([...parser.parse(Buffer.from([0x80, 3, 0, 200, 0, 0xff, 0xff, 0xff]))]).toEqual([])
    for (let sent = 0; sent < length; sent += MAX_CONTROL_BYTES) {
      expect([...parser.parse(Buffer.alloc(Math.min(MAX_CONTROL_BYTES, length - sent)))]).toEqual([])
    }
    expect([...parser.parse(pingFrame(7))]).toEqual([{ type: 'ping', id: 7 }])
  })

  test('the last initial window of SETTINGS counts', () => {
    const settings = Buffer.from([
      0x80, 3, 0, 4, 0, 0, 0, 20, 0, 0, 0, 2, 0, 0, 0, 4, 0, 0, 0, 9, 0, 0, 0, 7, 0, 1, 0, 0,
    ])
    expect([...createFrameParser().parse(settings)]).toEqual([{ type: 'settings', initialWindowSize: 65_536 }])
  })
})
