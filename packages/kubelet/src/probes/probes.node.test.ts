/** Probes and lifecycle hooks against real sandboxes. */
import * as apiserver from '@caisson/apiserver'
import { type PodObject, resources } from '@caisson/client'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { type ScratchNode, startScratchNode } from '../testing/scratch-node.ts'
import { container, eventsOf, remove } from '../testing/scratch-pods.ts'

let node: ScratchNode
beforeAll(async () => {
  node = await startScratchNode(apiserver)
})
afterAll(() => node[Symbol.asyncDispose]())

const shell = (script: string): { exec: { command: string[] } } => ({ exec: { command: ['sh', '-c', script] } })
const first = ({ status }: PodObject) => status?.containerStatuses?.[0]

test('a container that fails its liveness probe is started again', async () => {
  await node.create('alive', {
    terminationGracePeriodSeconds: 2,
    containers: [
      container('[ -e /probe/was-here ] || touch /probe/was-here /probe/broken; exec sleep 1000', {
        livenessProbe: { ...shell('rm /probe/broken && exit 1; exit 0'), periodSeconds: 1, failureThreshold: 1 },
        volumeMounts: [{ name: 'probe', mountPath: '/probe' }],
      }),
    ],
    volumes: [{ name: 'probe', emptyDir: {} }],
  })
  const pod = await node.until('alive', (pod) => first(pod)?.restartCount === 1 && first(pod)?.ready)
  expect(first(pod)).toMatchObject({ started: true, lastState: { terminated: { reason: 'Error' } } })
  expect(eventsOf(node, 'alive')).toContain('Unhealthy Liveness probe failed: ')
  expect(eventsOf(node, 'alive')).toContain('Killing Container main failed liveness probe, will be restarted')
  await remove(node, 'alive')
})

test('a container is not asked anything else until its startup probe passes, and is ready when its readiness probe does', async () => {
  await node.create('slow', {
    terminationGracePeriodSeconds: 1,
    containers: [
      container('exec sleep 1000', {
        startupProbe: { ...shell('test -e /tmp/started'), periodSeconds: 1, failureThreshold: 600 },
        livenessProbe: { ...shell('test -e /tmp/started'), periodSeconds: 1, failureThreshold: 1 },
        readinessProbe: { ...shell('test -e /tmp/ready'), periodSeconds: 1 },
        volumeMounts: [{ name: 'tmp', mountPath: '/tmp' }],
      }),
    ],
    volumes: [{ name: 'tmp', emptyDir: {} }],
  })
  const pod = await node.until('slow', (pod) => first(pod)?.state?.running !== undefined)
  expect(first(pod)).toMatchObject({ ready: false, started: false })
  const [sandbox] = (await node.runtime.list()).filter(({ spec }) => spec.id.startsWith(pod.metadata.uid ?? '-'))
  const run = async (args: string[]): Promise<void> => {
    const id = sandbox?.containers[0]?.spec.id ?? ''
    await using streams = await node.runtime.exec(id, { args, env: {}, tty: false, stdin: false })
    streams.stdout.resume()
    streams.stderr?.resume()
    expect(await streams.exit).toEqual({ exitCode: 0 })
  }
  await expect.poll(() => eventsOf(node, 'slow')).toContain('Unhealthy Startup probe failed: ')
  await run(['touch', '/tmp/started'])
  await node.until('slow', (pod) => first(pod)?.started && !first(pod)?.ready)
  await run(['touch', '/tmp/ready'])
  await node.until('slow', (pod) => first(pod)?.ready)
  // Another agent believes what this one found out.
  await node.restart()
  await node.kubelet.idle()
  const after = await node.client.get(resources.pods, 'slow', { namespace: 'default' })
  expect(first(after)).toMatchObject({ ready: true, started: true })
  await run(['rm', '/tmp/ready'])
  const back = await node.until('slow', (pod) => first(pod)?.ready === false)
  expect(first(back)).toMatchObject({ restartCount: 0, started: true })
  await remove(node, 'slow')
})

test('an HTTP probe goes to the address of the Pod', async () => {
  const server =
    'import http.server; http.server.HTTPServer(("", 8080), http.server.SimpleHTTPRequestHandler).serve_forever()'
  await node.create('web', {
    terminationGracePeriodSeconds: 1,
    containers: [
      container('', {
        command: ['python3', '-c', server],
        ports: [{ name: 'http', containerPort: 8080 }],
        readinessProbe: { httpGet: { port: 'http', path: '/' }, periodSeconds: 1, timeoutSeconds: 5 },
        livenessProbe: { tcpSocket: { port: 8080 }, periodSeconds: 1, timeoutSeconds: 5, failureThreshold: 60 },
      }),
    ],
  })
  await node.until('web', (pod) => first(pod)?.ready)
  await remove(node, 'web')
})

test('postStart is over before a container counts as started, and preStop before it is told to stop', async () => {
  await node.create('hooked', {
    terminationGracePeriodSeconds: 20,
    containers: [
      container('trap "echo stopped >> /out/log; exit 0" TERM; while :; do sleep 0.1; done', {
        lifecycle: {
          postStart: shell('echo started >> /out/log'),
          preStop: shell('sleep 0.5; echo stopping >> /out/log'),
        },
        volumeMounts: [{ name: 'out', mountPath: '/out' }],
      }),
      container('touch /out/log; exec tail -f /out/log', {
        name: 'log',
        volumeMounts: [{ name: 'out', mountPath: '/out' }],
      }),
    ],
    volumes: [{ name: 'out', emptyDir: {} }],
  })
  const pod = await node.until('hooked', (pod) => pod.status?.containerStatuses?.every(({ ready }) => ready))
  expect(pod.status?.containerStatuses?.every(({ started }) => started)).toBe(true)
  const watched = node.until('hooked', (pod) => pod.status?.containerStatuses?.[1]?.state?.terminated !== undefined)
  await node.client.delete(resources.pods, 'hooked', { namespace: 'default' })
  const end = await watched
  expect(end.status?.containerStatuses?.[1]?.state?.terminated?.exitCode).toBe(0)
  await node.gone('hooked')
  expect(eventsOf(node, 'hooked').filter((event) => event.includes('Hook'))).toEqual([])
})

test('a preStop hook and TERM have their turn where the grace is longer than a timer counts', async () => {
  await node.create('patient', {
    terminationGracePeriodSeconds: 4_294_968,
    containers: [
      container('trap "exit 0" TERM; while :; do sleep 0.1; done', {
        lifecycle: { preStop: shell('sleep 0.5; echo stopping >> /out/log') },
        volumeMounts: [{ name: 'out', mountPath: '/out' }],
      }),
      container('trap "[ -s /out/log ] && exit 7" TERM; while :; do sleep 0.1; done', {
        name: 'after',
        lifecycle: { preStop: shell('until [ -s /out/log ]; do sleep 0.1; done') },
        volumeMounts: [{ name: 'out', mountPath: '/out' }],
      }),
    ],
    volumes: [{ name: 'out', emptyDir: {} }],
  })
  await node.until('patient', (pod) => pod.status?.containerStatuses?.every(({ ready }) => ready))
  const watched = node.until('patient', ({ status }) =>
    status?.containerStatuses?.every(({ state }) => state?.terminated),
  )
  await node.client.delete(resources.pods, 'patient', { namespace: 'default' })
  const { status } = await watched
  expect(status?.containerStatuses?.map(({ state }) => state?.terminated?.exitCode).sort()).toEqual([0, 7])
  await node.gone('patient')
})

test('a postStart hook that fails ends the container, and its status says why', async () => {
  await node.create('unhooked', {
    terminationGracePeriodSeconds: 1,
    containers: [container('exec sleep 1000', { lifecycle: { postStart: shell('echo no luck; exit 7') } })],
  })
  const pod = await node.until('unhooked', (pod) => first(pod)?.state?.waiting?.reason === 'PostStartHookError')
  expect(first(pod)?.state?.waiting?.message).toBe(
    `Exec lifecycle hook ([sh -c echo no luck; exit 7]) for Container "main" in Pod "unhooked_default(${pod.metadata.uid})" failed - error: command 'sh -c echo no luck; exit 7' exited with 7: no luck\n, message: "no luck\\n"`,
  )
  expect(eventsOf(node, 'unhooked').slice(0, 5)).toEqual([
    'Pulled Container image "caisson.dev/host" already present on machine',
    'Created Created container: main',
    'Started Started container main',
    'FailedPostStartHook PostStartHook failed',
    'Killing FailedPostStartHook',
  ])
  await remove(node, 'unhooked')
})
