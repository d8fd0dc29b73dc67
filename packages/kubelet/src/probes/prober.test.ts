import type { AddressInfo } from 'node:net'
import { createServer } from 'node:net'
import { expect, test } from 'vitest'
import { aPod, aRun, running } from '../pods/observed-pod-fixtures.ts'
import { createHostProcesses } from '../testing/host-processes.ts'
import { createProber } from './prober.ts'

/** Accepts, and never answers. */
async function silentServer(): Promise<{ port: number } & AsyncDisposable> {
  const sockets = new Set<{ destroy(): void }>()
  const server = createServer((socket) => {
    socket.on('error', () => {})
    sockets.add(socket)
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  return {
    port: (server.address() as AddressInfo).port,
    async [Symbol.asyncDispose]() {
      for (const socket of sockets) socket.destroy()
      await new Promise((resolve) => server.close(resolve))
    },
  }
}

test('probes that hang hold up nobody but their own Pod, and end with it', async () => {
  await using silent = await silentServer()
  const { promise: ready, resolve: isReady } = Promise.withResolvers<void>()
  const runtime = createHostProcesses()
  using prober = createProber({
    runtime,
    events: { about: () => undefined, aboutContainer: () => undefined },
    now: Date.now,
    onChanged: (uid) => uid === 'victim' && isReady(),
    askFrom: () => undefined,
  })
  const follow = (uid: string, name: string, readinessProbe: object) => {
    const pod = aPod({
      spec: { containers: [{ name, image: 'busybox', readinessProbe: { timeoutSeconds: 86_400, ...readinessProbe } }] },
    })
    pod.metadata.uid = uid
    const run = aRun(running(Date.now()), { name, id: `${uid}-${name}` })
    return prober.follow({ pod, sandboxId: uid, podIp: '127.0.0.1', runs: [run], begun: new Set([`${uid}-${name}`]) })
  }
  for (let index = 0; index < 20; index++) {
    follow(`dials-${index}`, 'main', { httpGet: { port: silent.port } })
    follow(`execs-${index}`, 'main', { exec: { command: ['sleep', '1000'] } })
  }
  follow('victim', 'main', { exec: { command: ['true'] } })
  await ready
  for (let index = 0; index < 20; index++) prober.forget(`execs-${index}`)
  const isAlive = (pid: number): boolean => {
    try {
      process.kill(pid, 0)
      return true
    } catch {
      return false
    }
  }
  await expect.poll(() => runtime.pids.filter(isAlive)).toEqual([])
})
