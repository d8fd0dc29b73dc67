import { once } from 'node:events'
import { createServer } from 'node:net'
import type { PodObject } from '@caisson/client'
import { expect, test } from 'vitest'
import { portsOnLoopback, publishedPorts } from './published-ports.ts'
import { createLoopbackPorts } from './services/loopback-ports.ts'
import { freePort } from './testing/free-port.ts'

/** Whether something listens there. */
async function isTaken(port: number): Promise<boolean> {
  const server = createServer().listen(port, '127.0.0.1')
  const taken = await Promise.race([
    once(server, 'listening').then(() => false),
    new Promise<boolean>((resolve) => server.once('error', () => resolve(true))),
  ])
  server.close()
  return taken
}

const podOf = (...hostPorts: number[]): PodObject => ({
  apiVersion: 'v1',
  kind: 'Pod',
  metadata: { name: 'web', namespace: 'default', uid: 'u' },
  spec: { containers: [{ name: 'web', ports: hostPorts.map((hostPort) => ({ hostPort, containerPort: 80 })) }] },
})
const address = { uid: 'u', ip: '127.0.0.2', isolated: false }

test('a Pod that goes while its ports are being opened leaves none of them listening', async () => {
  await using loopback = createLoopbackPorts((error) => {
    throw error
  })
  const published = publishedPorts(loopback)
  const ports = [await freePort(), await freePort(), await freePort()]
  const opening = published.open(podOf(...ports), address)
  published.close('u')
  await opening
  // What is asked of the loopback ports goes in order.
  await loopback.close('none')
  expect(await Promise.all(ports.map(isTaken))).toEqual([false, false, false])
})

test('where one of its ports is taken none of a Pod’s is open', async () => {
  await using loopback = createLoopbackPorts((error) => {
    throw error
  })
  const published = publishedPorts(loopback)
  const [own, taken] = [await freePort(), await freePort()]
  await using stack = new AsyncDisposableStack()
  const other = createServer().listen(taken, '127.0.0.1')
  await once(other, 'listening')
  stack.defer(() => void other.close())
  await expect(published.open(podOf(own, taken), address)).rejects.toThrow(`port ${taken} of 127.0.0.1 is in use`)
  expect(await isTaken(own)).toBe(false)
  await published.open(podOf(own), address)
  expect(await isTaken(own)).toBe(true)
})

test('a port of a Pod that runs already is opened when whoever has taken it meanwhile has gone', async () => {
  const told: string[] = []
  await using loopback = createLoopbackPorts((_error, where) => told.push(where), { retryMs: 20 })
  const published = publishedPorts(loopback)
  const [free, taken] = [await freePort(), await freePort()]
  const other = createServer().listen(taken, '127.0.0.1')
  await once(other, 'listening')
  await published.adopt(podOf(free, taken), address)
  expect(await isTaken(free)).toBe(true)
  expect(told).toEqual([`pod u 127.0.0.1 tcp ${taken}`])
  await new Promise((resolve) => other.close(resolve))
  await expect.poll(() => isTaken(taken)).toBe(true)
  published.close('u')
  await loopback.close('none')
  expect(await Promise.all([free, taken].map(isTaken))).toEqual([false, false])
})

test('where else a Pod asks to be published than on loopback is on loopback, and no name is looked up', () => {
  const hostIPs = [undefined, '127.0.0.3', '0.0.0.0', '192.0.2.1', '127.example.com', '127.0.0.1.example.com']
  const ports = hostIPs.map((hostIP) => ({
    hostPort: 80,
    containerPort: 8080,
    ...(hostIP !== undefined && { hostIP }),
  }))
  expect(portsOnLoopback({ containers: [{ name: 'web', ports }] }).map(({ address }) => address)).toEqual([
    '127.0.0.1',
    '127.0.0.3',
    ...Array<string>(4).fill('127.0.0.1'),
  ])
})
