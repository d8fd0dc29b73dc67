/** Programs written in Go against the embedded cluster, as they come: a controller of controller-runtime, and kwok. */
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { buildBeside, hasGo } from '../cluster/build-control-plane.ts'
import { type Cluster, findKubectl, startCluster } from './fixture.ts'

const PROTOBUF = 'application/vnd.kubernetes.protobuf'
/** From nothing, on two processors; they are found again afterwards. */
const BUILD_MS = 900_000

const isRun = hasGo() && findKubectl() !== undefined
if (!isRun)
  console.log('Go or kubectl is not installed: the programs written in Go are not built, and their tests not run')

describe.runIf(isRun)('programs written in Go', () => {
  let cluster: Cluster
  let programs: { copier: string; kwok: string }
  beforeAll(async () => {
    programs = { copier: await buildBeside('copier'), kwok: await buildBeside('kwok') }
    cluster = await startCluster({ up: ['--fake-runtime'] })
  }, BUILD_MS)
  afterAll(() => cluster?.[Symbol.asyncDispose]())

  function start(program: string, args: string[]) {
    const child = spawn(program, args, { env: { ...process.env, ...cluster.env }, stdio: ['ignore', 'pipe', 'pipe'] })
    const said = { stdout: '', stderr: '' }
    child.stdout.setEncoding('utf8').on('data', (text: string) => (said.stdout += text))
    child.stderr.setEncoding('utf8').on('data', (text: string) => (said.stderr += text))
    return { child, said, [Symbol.asyncDispose]: () => end(child) }
  }

  async function end(child: ChildProcess): Promise<void> {
    if (child.exitCode !== null || child.signalCode !== null) return
    const closed = once(child, 'close')
    child.kill('SIGTERM')
    await closed
  }

  test('a controller of controller-runtime works, in protobuf throughout', async () => {
    const { mustKubectl } = cluster
    await using copier = start(programs.copier, ['default'])
    const original = {
      apiVersion: 'v1',
      kind: 'ConfigMap',
      metadata: { name: 'original', labels: { 'copy-as': 'copy' } },
    }
    const apply = (data: object) => mustKubectl(['apply', '-f', '-'], { input: JSON.stringify({ ...original, data }) })
    const copied = (result: string) =>
      mustKubectl([
        'wait',
        `--for=jsonpath={.metadata.annotations.copies\\.example\\.com/copied}=${result}`,
        'configmap/original',
      ])
    await apply({ text: 'grün' })
    await copied('created')
    await apply({ text: 'blau' })
    await copied('updated')
    const secret = JSON.parse(await mustKubectl(['get', 'secret', 'copy', '-o', 'json']))
    expect(secret.data).toEqual({ text: Buffer.from('blau').toString('base64') })
    expect(secret.metadata.ownerReferences).toMatchObject([{ kind: 'ConfigMap', name: 'original', controller: true }])
    await mustKubectl(['delete', 'configmap', 'original'])
    expect(await mustKubectl(['get', 'secrets', '-o', 'name'])).toBe('')

    await end(copier.child)
    expect(copier.child.exitCode, copier.said.stderr).toBe(0)
    const forms = Object.keys(JSON.parse(copier.said.stdout) as Record<string, number>)
    const other = forms.filter((form) => !form.includes(`-> ${PROTOBUF}`) && !form.startsWith('DISCOVER '))
    // Events go out as JSON, and discovery has no other form: of everything at once, sometimes of one version besides.
    expect(other).toEqual(['POST application/json -> application/json'])
    expect(forms.filter((form) => form.includes(`-> ${PROTOBUF}`)).sort()).toEqual([
      `DELETE ${PROTOBUF} -> ${PROTOBUF}`,
      `GET  -> ${PROTOBUF}`,
      `GET  -> ${PROTOBUF};stream=watch`,
      `PATCH application/merge-patch+json -> ${PROTOBUF}`,
      `POST ${PROTOBUF} -> ${PROTOBUF}`,
      `PUT ${PROTOBUF} -> ${PROTOBUF}`,
    ])
  })

  test('kwok keeps a node Ready and the Pods of a Deployment on it Running, and lets them go', async () => {
    const { mustKubectl, env } = cluster
    const annotation = 'kwok.x-k8s.io/node=fake'
    const only = ['--manage-nodes-with-annotation-selector', annotation]
    await using _kwok = start(programs.kwok, [
      '--kubeconfig',
      env['KUBECONFIG'] as string,
      ...only,
      '--config',
      '/dev/null',
    ])
    const room = { cpu: '1000', memory: '1Ti', pods: '100' }
    const node = {
      apiVersion: 'v1',
      kind: 'Node',
      metadata: { name: 'kwok-0', annotations: { 'kwok.x-k8s.io/node': 'fake' }, labels: { type: 'kwok' } },
      status: { allocatable: room, capacity: room },
    }
    await mustKubectl(['create', '-f', '-'], { input: JSON.stringify(node) })
    await mustKubectl(['wait', '--for=condition=Ready', 'node/kwok-0'])
    const labels = { app: 'web' }
    const spec = { nodeSelector: { type: 'kwok' }, containers: [{ name: 'c', image: 'nothing.example.com/at-all' }] }
    const deployment = {
      apiVersion: 'apps/v1',
      kind: 'Deployment',
      metadata: { name: 'web' },
      spec: { replicas: 5, selector: { matchLabels: labels }, template: { metadata: { labels }, spec } },
    }
    await mustKubectl(['create', '-f', '-'], { input: JSON.stringify(deployment) })
    await mustKubectl(['wait', '--for=condition=Available', 'deployment/web'])
    const columns = 'jsonpath={range .items[*]}{.spec.nodeName} {.status.phase}{"\\n"}{end}'
    expect(await mustKubectl(['get', 'pods', '-l', 'app=web', '-o', columns])).toBe('kwok-0 Running\n'.repeat(5))
    await mustKubectl(['delete', 'deployment', 'web', '--cascade=foreground'])
    expect(await mustKubectl(['get', 'pods', '-l', 'app=web', '-o', 'name'])).toBe('')
  })
})
