/**
 * What Argo CD's engine and Flux's kustomize-controller, each built from its Go module, make of deploy/ and of objects of
 * ours: they apply them, find them unchanged whatever the controllers do, follow changes, see edits by hand, and prune.
 *
 * CAISSON_TEST_GITOPS=all has both work on both clusters (`make test-cluster`).
 */
import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { resources } from '../../packages/client/src/index.ts'
import { connectCluster, startTestNode } from '../../packages/controllers/src/testing/test-cluster.ts'
import { buildBeside, hasGo } from '../cluster/build-control-plane.ts'
import { startRealCluster, writeKubeconfig } from '../cluster/real-cluster.ts'
import { type ControllerProcess, startController } from './controller-process.ts'
import { findKubectl, must, run, startCluster } from './fixture.ts'
import { startFlux } from './flux.ts'
import { FLAT_POOLS, objectsOf, POOLS, SANDBOXES, WITH_READINESS, WITHOUT_PROTOCOL } from './gitops-objects.ts'
import { ACCOUNT } from './operator-cluster.ts'

const DEPLOY = join(import.meta.dirname, '../../deploy')
const SYSTEM = 'agent-sandbox-system'
const NAMESPACE = 'gitops'
/** The programs are built where nobody did that before. */
const BUILD_MS = 900_000
const LIMIT_MS = 240_000

const ALL = process.env['CAISSON_TEST_GITOPS'] === 'all'

const possible = hasGo() && findKubectl() !== undefined
if (!possible) console.log('not run: Argo CD’s engine and Flux are built from their Go modules, and Go is not there')

/** A cluster whose controllers can be started anew. */
interface Ground extends AsyncDisposable {
  kubeconfig: string
  restartControllers(): Promise<void>
}

async function startReal(): Promise<Ground> {
  await using starting = new AsyncDisposableStack()
  const plane = starting.use(await startRealCluster({ controllers: true }))
  const { client } = starting.use(await connectCluster(plane.kubeconfig))
  await client.create(resources.runtimeClasses, { metadata: { name: 'fake' }, handler: 'fake' })
  for (const namespace of [NAMESPACE, SYSTEM]) starting.use(await startTestNode(client, namespace))
  const kubeconfig = writeKubeconfig(plane, 'controllers', { as: ACCOUNT })
  let controllers: ControllerProcess | undefined
  const stop = async (): Promise<void> => {
    controllers?.child.kill('SIGTERM')
    await controllers?.ended
  }
  starting.defer(stop)
  const started = starting.move()
  return {
    kubeconfig: plane.kubeconfig,
    async restartControllers() {
      await stop()
      controllers = startController({ name: 'controllers', flags: ['--leader-elect', '--extensions'], kubeconfig })
      await controllers.line('"controller":"flat-sandboxwarmpool"')
    },
    [Symbol.asyncDispose]: () => started.disposeAsync(),
  }
}

async function startEmbedded(): Promise<Ground> {
  const up = ['--fake-runtime']
  const cluster = await startCluster({ up })
  let started = true
  return {
    kubeconfig: cluster.env['KUBECONFIG'] as string,
    async restartControllers() {
      if (!started) await cluster.mustCaisson(['down'])
      started = false
      await cluster.mustCaisson(['up', '--detach', ...up])
    },
    [Symbol.asyncDispose]: () => cluster[Symbol.asyncDispose](),
  }
}

describe.runIf(possible).each([
  { name: 'a real control plane', start: startReal, tool: 'Argo CD' },
  { name: 'the embedded cluster', start: startEmbedded, tool: 'Flux' },
])('on $name', ({ start, tool }) => {
  let ground: Ground
  let argo: string
  /** What the repository holds. */
  let git: string
  beforeAll(async () => {
    argo = await buildBeside('argo')
    await buildBeside('kustomize-controller')
    git = mkdtempSync(join(tmpdir(), 'caisson-gitops-'))
    ground = await start()
    writeFileSync(
      join(git, 'namespace.yaml'),
      yamlOf([{ apiVersion: 'v1', kind: 'Namespace', metadata: { name: NAMESPACE } }]),
    )
  }, BUILD_MS)
  afterAll(async () => {
    await ground?.[Symbol.asyncDispose]()
    if (git) rmSync(git, { recursive: true, force: true })
  })

  const environment = () => ({ KUBECONFIG: ground.kubeconfig })
  const kubectl = (...args: string[]) =>
    must(
      run(findKubectl() ?? 'kubectl', ['-n', NAMESPACE, ...args], { env: environment() }),
      `kubectl ${args.join(' ')}`,
    )
  const yamlOf = (objects: readonly object[]): string => objects.map((each) => JSON.stringify(each)).join('\n---\n')
  const flatCrds = (): string =>
    ['sandboxclaims', 'sandboxtemplates', 'sandboxwarmpools']
      .map((plural) => readFileSync(join(DEPLOY, `crds/agents.x-k8s.io_${plural}.yaml`), 'utf8'))
      .join('---\n')

  type Command = 'refresh' | 'sync-client' | 'sync-server'
  async function askArgo(command: Command): Promise<Record<string, string>> {
    return JSON.parse(await must(run(argo, [git, NAMESPACE, command], { env: environment() }), `argo ${command}`))
  }
  /** What differs, by the name of each object. */
  async function drift(): Promise<Record<string, string>> {
    const found = Object.entries(await askArgo('refresh')).map(([name, said]) => [
      name,
      name.endsWith(`/${WITHOUT_PROTOCOL}`) ? said.replace(/^structured merge: .*\n/, '') : said,
    ])
    return Object.fromEntries(found.filter(([, difference]) => difference !== ''))
  }
  async function sync(apply: 'client' | 'server'): Promise<void> {
    const done = Object.entries(await askArgo(`sync-${apply}`))
    expect(done.filter(([, result]) => !/^(Synced|Pruned):/.test(result))).toEqual([])
  }
  async function untilReady(): Promise<void> {
    await kubectl('wait', '--for=condition=Ready', '--timeout=60s', ...WITH_READINESS)
  }
  async function expectNoDifference(): Promise<void> {
    const reader = ['--server-side', '--field-manager=reader']
    const shown = await run(findKubectl() ?? 'kubectl', ['diff', ...reader, '-f', git], { env: environment() })
    expect(shown).toEqual({ code: 0, stdout: '', stderr: '' })
  }

  test.runIf(ALL || tool === 'Argo CD')(
    'Argo CD applies everything, and sees no drift whatever the controllers do',
    async () => {
      writeFileSync(join(git, 'system.yaml'), `${await kubectl('kustomize', DEPLOY)}---\n${flatCrds()}`)
      await sync('client')
      writeFileSync(join(git, 'objects.yaml'), yamlOf(objectsOf(NAMESPACE, { image: 'example.com/main:1', pool: 2 })))
      await sync('client')
      await ground.restartControllers()
      await untilReady()
      await kubectl('scale', `${POOLS}/by-hand`, '--replicas=3')
      await kubectl('wait', '--for=jsonpath={.status.readyReplicas}=3', '--timeout=60s', `${POOLS}/by-hand`)
      const [found] = await Promise.all([drift(), expectNoDifference()])
      expect(found).toEqual({})
      await ground.restartControllers()
      expect(await drift()).toEqual({})
    },
    LIMIT_MS,
  )

  test.runIf(ALL || tool === 'Argo CD')(
    'Argo CD follows what changes there, and sees what somebody changes by hand',
    async () => {
      writeFileSync(join(git, 'objects.yaml'), yamlOf(objectsOf(NAMESPACE, { image: 'example.com/main:2', pool: 3 })))
      expect(Object.keys(await drift()).length).toBe(6)
      await sync('client')
      await kubectl('wait', '--for=jsonpath={.status.readyReplicas}=3', '--timeout=60s', `${POOLS}/pool`)

      await kubectl('patch', SANDBOXES, 'box', '--type=merge', '-p', '{"spec":{"service":false}}')
      // Of the canonical one, from where it reaches the flat one.
      await kubectl('patch', POOLS, 'flat-pool', '--type=merge', '-p', '{"spec":{"minReplicas":2}}')
      await kubectl('wait', '--for=jsonpath={.spec.minSize}=2', '--timeout=60s', `${FLAT_POOLS}/flat-pool`)
      expect(Object.keys(await drift()).sort()).toEqual([
        `agents.x-k8s.io/Sandbox/${NAMESPACE}/box`,
        `agents.x-k8s.io/SandboxWarmPool/${NAMESPACE}/flat-pool`,
      ])
      await sync('server')
      await untilReady()
      await kubectl('wait', '--for=jsonpath={.status.readyReplicas}=2', '--timeout=60s', `${POOLS}/by-load`)
      expect(await drift()).toEqual({})
    },
    LIMIT_MS,
  )

  test.runIf(ALL || tool === 'Argo CD')(
    'Argo CD prunes what is there no more, what was made of it goes too, and the chart takes the place of the manifests',
    async () => {
      rmSync(join(git, 'objects.yaml'))
      const pruned = objectsOf(NAMESPACE, { image: '', pool: 0 })
        .map((object) => object as { apiVersion: string; kind: string; metadata: { name: string } })
        .map(({ apiVersion, kind, metadata: { name } }) => `${apiVersion.split('/')[0]}/${kind}/${NAMESPACE}/${name}`)
      expect(await drift()).toEqual(Object.fromEntries(pruned.map((name) => [name, 'extra'])))
      // The chart comes in the place of the manifests, and what it does not have goes with the objects.
      const values = 'namespace.create=true,compat.flatGroup=true'
      const chart = ['template', 'caisson', join(DEPLOY, 'helm/caisson'), '-n', SYSTEM, '--kube-version', 'v1.34.0']
      writeFileSync(join(git, 'system.yaml'), await must(run(await buildBeside('helm'), [...chart, '--set', values])))
      await sync('server')
      await expect.poll(left, { timeout: 60_000 }).toBe('')
      expect(await drift()).toEqual({})
    },
    LIMIT_MS,
  )

  const left = async (): Promise<string> => {
    const kinds = ['sandboxclaims', 'sandboxtemplates', 'sandboxwarmpools']
    const flat = kinds.map((kind) => `${kind}.v1alpha1.agents.x-k8s.io`)
    const canonical = kinds.map((kind) => `${kind}.v1beta1.extensions.agents.x-k8s.io`)
    return await kubectl('get', [SANDBOXES, ...flat, ...canonical, 'pods', 'networkpolicies'].join(), '-o', 'name')
  }

  test.runIf(ALL || tool === 'Flux')(
    'Flux applies everything, follows what changes, takes back what somebody changed by hand, and prunes',
    async () => {
      const tree = mkdtempSync(join(tmpdir(), 'caisson-gitops-'))
      try {
        const write = (file: string, objects: readonly object[]) =>
          writeFileSync(join(tree, 'objects', file), yamlOf(objects))
        cpSync(DEPLOY, join(tree, 'system'), { recursive: true })
        mkdirSync(join(tree, 'objects'))
        write('namespace.yaml', [{ apiVersion: 'v1', kind: 'Namespace', metadata: { name: NAMESPACE } }])
        write('objects.yaml', objectsOf(NAMESPACE, { image: 'example.com/main:1', pool: 2 }))
        /** What became another one by itself, or by somebody's hand. */
        const changed = async (part: string): Promise<string[]> =>
          Object.entries(await flux.reconcile(part)).flatMap(([name, what]) => (what === 'unchanged' ? [] : [name]))
        await using flux = await startFlux(ground.kubeconfig, ['system', 'objects'])
        await flux.push(tree)
        await untilReady()
        await kubectl('scale', `${POOLS}/by-hand`, '--replicas=3')
        for (const part of ['system', 'objects']) expect(await changed(part)).toEqual([])
        const shown = await run(findKubectl() ?? 'kubectl', ['diff', '-f', join(tree, 'objects')], {
          env: environment(),
        })
        expect([shown.code, shown.stdout]).toEqual([0, ''])

        write('objects.yaml', objectsOf(NAMESPACE, { image: 'example.com/main:2', pool: 3 }))
        await flux.push(tree)
        await kubectl('wait', '--for=jsonpath={.status.readyReplicas}=3', '--timeout=60s', `${POOLS}/pool`)
        expect(await changed('objects')).toEqual([])
        await kubectl('patch', SANDBOXES, 'box', '--type=merge', '-p', '{"spec":{"service":false}}')
        expect(await changed('objects')).toEqual([`Sandbox/${NAMESPACE}/box`])

        rmSync(join(tree, 'objects/objects.yaml'))
        await flux.push(tree)
        await expect.poll(left, { timeout: 60_000 }).toBe('')
      } finally {
        rmSync(tree, { recursive: true, force: true })
      }
    },
    LIMIT_MS,
  )
})
