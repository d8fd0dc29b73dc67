import { Duplex, PassThrough } from 'node:stream'
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { FRAME, readFrames, writeFrame } from './protocol.ts'

const BYTES: readonly number[] = [FRAME.stdin, FRAME.stdout, FRAME.stderr]

interface Frame {
  type: number
  text: string
}

/** What of a connection's bytes is read, however they are cut; pieces of one stretch put together again. */
function read(bytes: Buffer, cuts: readonly number[]): Frame[] {
  const stream = new PassThrough()
  const frames: Frame[] = []
  readFrames(stream, (type, payload) => {
    const last = frames.at(-1)
    if (last && last.type === type && BYTES.includes(type)) last.text += payload.toString('latin1')
    else frames.push({ type, text: payload.toString('latin1') })
  })
  const ends = [...new Set(cuts.map((cut) => cut % (bytes.length + 1)))].sort((one, other) => one - other)
  let from = 0
  for (const end of [...ends, bytes.length]) {
    stream.emit('data', bytes.subarray(from, end))
    from = end
  }
  return frames
}

function written(frames: readonly Frame[]): Buffer {
  const chunks: Buffer[] = []
  const stream = new Duplex({
    write(chunk: Buffer, _encoding, callback) {
      chunks.push(chunk)
      callback()
    },
  })
  for (const { type, text } of frames) writeFrame(stream, type, Buffer.from(text, 'latin1'))
  return Buffer.concat(chunks)
}

test('frames come as they were sent, whatever pieces the connection makes of them', () => {
  const frame = fc.record({
    type: fc.constantFrom(...Object.values(FRAME)),
    text: fc.string({ unit: fc.integer({ min: 0, max: 255 }).map((code) => String.fromCharCode(code)), maxLength: 40 }),
  })
  fc.assert(
    fc.property(fc.array(frame, { maxLength: 12 }), fc.array(fc.nat(), { maxLength: 20 }), (frames, cuts) => {
      // An empty stretch says nothing, and two of one stream in a row are one.
      const expected: Frame[] = []
      for (const { type, text } of frames) {
        const last = expected.at(-1)
        if (BYTES.includes(type) && text === '') continue
        if (last && last.type === type && BYTES.includes(type)) last.text += text
        else expected.push({ type, text })
      }
      expect(read(written(frames), cuts)).toEqual(expected)
    }),
  )
})

test('a stretch is passed on as it comes, without a copy', () => {
  const stream = new PassThrough()
  const pieces: Buffer[] = []
  readFrames(stream, (_type, payload) => pieces.push(payload))
  const bytes = written([{ type: FRAME.stdout, text: 'hello' }])
  stream.emit('data', bytes.subarray(0, 7))
  expect(pieces.map(String)).toEqual(['he'])
  stream.emit('data', bytes.subarray(7))
  expect(pieces.map(String)).toEqual(['he', 'llo'])
  expect(pieces[0]?.buffer).toBe(bytes.buffer)
})

test('a peer that announces more than a frame may have is left', () => {
  const stream = new PassThrough()
  const errors: unknown[] = []
  stream.on('error', (error) => errors.push(error.message))
  readFrames(stream, () => undefined)
  const header = Buffer.alloc(5)
  header[0] = FRAME.stdout
  header.writeUInt32LE(8 * 1024 * 1024 + 1, 1)
  stream.emit('data', header)
  expect(stream.destroyed).toBe(true)
  return expect.poll(() => errors).toEqual(['a frame of 8388609 bytes is longer than the 8388608 allowed'])
})
