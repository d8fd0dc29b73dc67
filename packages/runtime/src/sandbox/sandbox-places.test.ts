import { once } from 'node:events'
import { PassThrough } from 'node:stream'
import { expect, test } from 'vitest'
import { createConnectionPlaces } from './sandbox-places.ts'

const REFUSAL = {
  code: 'failed',
  message: '64 connections to the loopback of this sandbox are open: close one of them',
}

test('so many connections are open to a sandbox at a time, and no more', async () => {
  const places = createConnectionPlaces()
  const open = (sandboxId = 'a') => places(sandboxId, async () => new PassThrough())
  const first = await open()
  await Promise.all(Array.from({ length: 63 }, () => open()))
  await expect(open()).rejects.toMatchObject(REFUSAL)
  await open('b')
  await once(first.destroy(), 'close')
  await open()
  await expect(open()).rejects.toMatchObject(REFUSAL)
})

test('one that is being opened has its place already', async () => {
  const places = createConnectionPlaces()
  for (let count = 0; count < 64; count++) void places('a', () => new Promise(() => {}))
  await expect(places('a', async () => new PassThrough())).rejects.toMatchObject(REFUSAL)
})

test('those that failed, or were closed before anybody had them, leave theirs', async () => {
  const places = createConnectionPlaces()
  const closed = new PassThrough().destroy()
  await once(closed, 'close')
  for (let count = 0; count < 65; count++) {
    await expect(places('a', () => Promise.reject(new Error('nobody listens')))).rejects.toThrow('nobody listens')
    await places('a', async () => closed)
  }
})
