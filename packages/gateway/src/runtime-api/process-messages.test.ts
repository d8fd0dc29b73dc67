import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import {
  decodeExecute,
  decodeResize,
  decodeSendSignal,
  decodeStart,
  decodeWriteStdin,
  executeResponse,
  startEvents,
} from './process-messages.ts'
import { fieldsOf } from './protobuf.ts'

/** Written by Google's own encoder. */
function hex(text: string): Buffer {
  return Buffer.from(text, 'hex')
}

describe('requests', () => {
  test('Execute', () => {
    const message = hex(
      '0a2d0a072f62696e2f73680a022d630a02207812090a0141120462203d6312070a034b455912001a062f7372632f61',
    )
    expect(decodeExecute(message)).toEqual(EXECUTE)
  })
  test('WriteStdin, its end and an empty one', () => {
    expect(decodeWriteStdin(hex('080512026869'))).toEqual({ processId: 5, input: Buffer.from('hi') })
    expect(decodeWriteStdin(hex('08051a00'))).toEqual({ processId: 5, input: undefined })
    expect(decodeWriteStdin(hex(''))).toEqual({ processId: 0, input: Buffer.alloc(0) })
  })
  test('SendSignal', () => {
    expect(decodeSendSignal(hex('08ac02100f'))).toEqual({ processId: 300, signal: 15 })
  })
  test('ResizeTTY', () => {
    expect(decodeResize(hex('080110501818'))).toEqual({ processId: 1, columns: 80, rows: 24 })
  })
  test('Start, with and without a terminal', () => {
    expect(decodeStart(hex('0a040a026c73120408501018'))).toEqual({
      config: { command: ['ls'], env: {}, workingDirectory: '' },
      terminal: { columns: 80, rows: 24 },
    })
    expect(decodeStart(hex('0a040a026c73')).terminal).toBeUndefined()
  })
})

const EXECUTE = { command: ['/bin/sh', '-c', ' x'], env: { A: 'b =c', KEY: '' }, workingDirectory: '/src/a' }

describe('answers', () => {
  test.each<[name: string, message: Buffer, expected: string]>([
    ['a success without output', executeResponse(0, Buffer.alloc(0), Buffer.alloc(0)), ''],
    ['a failure with output', executeResponse(143, Buffer.from('o'), Buffer.from('e')), '088f0112016f1a0165'],
    ['a negative code', executeResponse(-1, Buffer.alloc(0), Buffer.alloc(0)), '08ffffffffffffffffff01'],
    ['the beginning', startEvents.init(7), '0a020807'],
    ['output', startEvents.stdout(Buffer.from('hi')), '12026869'],
    ['errors', startEvents.stderr(Buffer.from('hi')), '1a026869'],
    ['the end, well', startEvents.exit(0), '2200'],
    ['the end, badly', startEvents.exit(137), '2203088901'],
  ])('%s', (_name, message, expected) => {
    expect(message.toString('hex')).toBe(expected)
  })
})

test('any bytes are a message or an error', () => {
  fc.assert(
    fc.property(fc.uint8Array(), (bytes) => {
      try {
        expect([...fieldsOf(Buffer.from(bytes))].length).toBeLessThanOrEqual(bytes.length)
      } catch (error) {
        expect((error as Error).name).toBe('ProtobufError')
      }
    }),
  )
})
