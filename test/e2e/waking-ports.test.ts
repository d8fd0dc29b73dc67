/** Sandboxes that sleep because nothing happens in them, and whoever connects to a port of this machine that leads to them. */
import { connect } from 'node:net'
import { text } from 'node:stream/consumers'
import { setTimeout as delay } from 'node:timers/promises'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { freePort } from '../cluster/real-cluster.ts'
import { type Cluster, startCluster } from './fixture.ts'
import { SERVE } from './serving-program.ts'

/** Rules follow at once; a look at them takes seconds on a busy machine. */
const SOON = { timeout: 30_000, interval: 100 }

let cluster: Cluster
beforeAll(async () => {
  cluster = await startCluster()
})
afterAll(() => cluster[Symbol.asyncDispose]())

/** What those hear who come together, and one after the other until they have heard. */
async function whileItWakes(answer: () => Promise<string>): Promise<Set<string>> {
  const said = [answer(), answer(), answer()]
  const first = Promise.all(said)
  for (let waits = true; waits; ) {
    said.push(answer())
    waits = await Promise.race([first.then(() => false), delay(20, true)])
  }
  return new Set(await Promise.all(said))
}

test('whoever connects to a published port wakes the sandbox behind it, and waits for it', async () => {
  const port = await freePort()
  const answer = (): Promise<string> => text(connect({ host: '127.0.0.1', port })).catch(String)
  const namespace = ['-n', 'caisson-host-volumes']
  const suspended = (is: 'True' | 'False'): Promise<string> =>
    cluster.mustKubectl([...namespace, 'wait', `--for=condition=Suspended=${is}`, 'sandbox/dozing', '--timeout=60s'])
  const run = ['run', '--detach', '--name', 'dozing', '--publish', `${port}:8080`, '--idle-timeout', '2s']
  await cluster.mustCaisson([...run, '--', '/usr/bin/python3', '-c', SERVE])
  await expect.poll(answer, SOON).toMatch(/^dozing /)
  await suspended('True')
  expect(await answer()).toMatch(/^dozing /)
  await suspended('False')
  await suspended('True')
  expect(await whileItWakes(answer)).toEqual(new Set([expect.stringMatching(/^dozing /)]))
  await cluster.mustCaisson([...namespace, 'rm', 'dozing'])
  await expect.poll(answer, SOON).toContain('ECONNREFUSED')
})

test('whoever connects to a NodePort wakes the sandbox that its Service would lead to', async () => {
  const container = { name: 'a', image: 'caisson.dev/host', command: ['/usr/bin/python3', '-c', SERVE] }
  const metadata = { name: 'drowsy', namespace: 'default' }
  const sandbox = {
    apiVersion: 'agents.x-k8s.io/v1beta1',
    kind: 'Sandbox',
    metadata,
    spec: {
      idleSuspension: { afterSeconds: 2 },
      suspension: { memory: 'Keep' },
      podTemplate: { metadata: { labels: { app: 'drowsy' } }, spec: { containers: [container] } },
    },
  }
  const ports = [{ port: 80, targetPort: 8080 }]
  const service = {
    apiVersion: 'v1',
    kind: 'Service',
    metadata: { ...metadata, name: 'door' },
    spec: { type: 'NodePort', selector: { app: 'drowsy' }, ports },
  }
  for (const manifest of [sandbox, service])
    await cluster.mustKubectl(['apply', '-f', '-'], { input: JSON.stringify(manifest) })
  const port = await cluster.mustKubectl(['get', 'service', 'door', '-o', 'jsonpath={.spec.ports[0].nodePort}'])
  const answer = (): Promise<string> => text(connect({ host: '127.0.0.1', port: Number(port) })).catch(String)
  await expect.poll(answer, SOON).toMatch(/^drowsy /)
  await cluster.mustKubectl(['wait', '--for=condition=Suspended', 'sandbox/drowsy', '--timeout=60s'])
  expect(await whileItWakes(answer)).toEqual(new Set([expect.stringMatching(/^drowsy /)]))
  await cluster.mustKubectl(['delete', 'service/door', 'sandbox/drowsy'])
})

test('a Sandbox that is written as one that sleeps has no port of this machine, unless its Pod might', async () => {
  const port = await freePort()
  const manifest = {
    apiVersion: 'agents.x-k8s.io/v1beta1',
    kind: 'Sandbox',
    metadata: { name: 'squatter', namespace: 'default', annotations: { 'caisson.dev/suspended-by': 'Idle' } },
    spec: {
      operatingMode: 'Suspended',
      podTemplate: {
        spec: {
          containers: [{ name: 'a', image: 'caisson.dev/host', ports: [{ containerPort: 80, hostPort: port }] }],
        },
      },
    },
  }
  await cluster.mustKubectl(['apply', '-f', '-'], { input: JSON.stringify(manifest) })
  const asleep = ['wait', '--for=condition=Suspended', 'sandbox/squatter', '--timeout=60s']
  const answer = (): Promise<string> => text(connect({ host: '127.0.0.1', port })).catch(String)
  await cluster.mustKubectl(asleep)
  expect(await answer()).toContain('ECONNREFUSED')
  // Whoever connects wakes it, and finds nobody who listens in it.
  const level = 'pod-security.kubernetes.io/enforce'
  await cluster.mustKubectl(['label', 'namespace', 'default', `${level}=privileged`])
  await expect.poll(answer, SOON).toBe('')
  await cluster.mustKubectl(['label', 'namespace', 'default', `${level}-`])
  await cluster.mustKubectl(['delete', 'sandbox', 'squatter'])
})
