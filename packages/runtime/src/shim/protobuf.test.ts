import fc from 'fast-check'
import { expect, test } from 'vitest'
import { decodeMessage, encodeMessage } from './protobuf.ts'

test('is what protoc makes of the same fields', () => {
  // CreateTaskRequest{id: "a", terminal: true, stdout: "/x"}, KillRequest{signal: 300}.
  expect(encodeMessage({ 1: 'a', 2: '', 4: true, 6: '/x' }).toString('hex')).toBe('0a0161200132022f78')
  expect(encodeMessage({ 3: 300 }).toString('hex')).toBe('18ac02')
})

test('every message that was written is read as it was', () => {
  fc.assert(
    fc.property(fc.maxSafeNat(), fc.string(), fc.uint8Array(), (number, text, bytes) => {
      const message = decodeMessage(encodeMessage({ 1: number, 2: text, 200: bytes }))
      expect([message.number(1), message.text(2), message.bytes(200)]).toEqual([number, text, Buffer.from(bytes)])
      expect([message.number(9), message.text(9)]).toEqual([0, ''])
    }),
  )
})

test('bytes that are no message are refused, whatever they are', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 64 }), (bytes) => {
      try {
        decodeMessage(Buffer.from(bytes))
      } catch (error) {
        expect((error as Error).message).toMatch(/^a (field|number) /)
      }
    }),
  )
})
