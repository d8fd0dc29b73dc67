/** A real control plane that takes nodes in, for this machine to join. */
import { mkdtempSync, rmSync } from 'node:fs'
import { homedir, tmpdir } from 'node:os'
import { join } from 'node:path'
import { type Client, type PodObject, type Resource, resources } from '../../packages/client/src/index.ts'
import { connectCluster, until } from '../../packages/controllers/src/testing/test-cluster.ts'
import { type RealCluster, startRealCluster } from '../cluster/real-cluster.ts'
import { findKubectl, must, type Outcome, type RunOptions, run } from './fixture.ts'

const ROOT = join(import.meta.dirname, '../..')

type NodeObject = typeof resources.nodes extends Resource<infer T> ? T : never

export interface NodeCluster extends AsyncDisposable {
  plane: RealCluster
  /** Of an administrator. */
  client: Client
  /** For files of the tests; goes with the cluster. */
  work: string
  /** The node's data directory, in which the image `busybox` is. */
  data: string
  /** Of what is run below. */
  env: Record<string, string>
  caisson(words: string[], options?: RunOptions): Promise<Outcome>
  kubectl(words: string[], options?: RunOptions): Promise<Outcome>
  /** The same, but failing where the exit code is not 0; gives standard output. */
  mustCaisson(words: string[], options?: RunOptions): Promise<string>
  mustKubectl(words: string[], options?: RunOptions): Promise<string>
  /** The node of the given name. */
  node(): Promise<NodeObject>
  /** By which the API server reaches it. */
  address(): Promise<string>
  /** A Pod of busybox in namespace `default`; `more` goes to `kubectl run`. */
  runPod(name: string, script: string, more?: string[]): Promise<void>
  ready(pod: string): Promise<void>
  podUntil(name: string, holds: (pod: PodObject | undefined) => boolean): Promise<PodObject>
}

/** Disposing has the machine leave, if it has joined. */
export async function startNodeCluster(nodeName: string): Promise<NodeCluster> {
  await using starting = new AsyncDisposableStack()
  const work = mkdtempSync(join(tmpdir(), 'caisson-join-'))
  starting.defer(() => rmSync(work, { recursive: true, force: true }))
  const plane = starting.use(await startRealCluster({ controllers: true, nodes: true }))
  const { client } = starting.use(await connectCluster(plane.kubeconfig))
  const data = join(work, 'node')
  const env = {
    KUBECONFIG: plane.kubeconfig,
    KUBECACHEDIR: join(work, 'kubectl-cache'),
    CAISSON_DATA_DIR: data,
    CAISSON_TOOLS_DIR: process.env['CAISSON_TOOLS_DIR'] ?? join(homedir(), '.cache', 'caisson', 'tools'),
  }
  const inEnv = (options: RunOptions = {}): RunOptions => ({ ...options, env: { ...env, ...options.env } })
  const caisson: NodeCluster['caisson'] = (words, options) => run(join(ROOT, 'bin/caisson'), words, inEnv(options))
  const kubectl: NodeCluster['kubectl'] = (words, options) => run(findKubectl() ?? 'kubectl', words, inEnv(options))
  const mustCaisson: NodeCluster['mustCaisson'] = (words, options) => must(caisson(words, options))
  const mustKubectl: NodeCluster['mustKubectl'] = (words, options) => must(kubectl(words, options))
  const node = (): Promise<NodeObject> => client.get(resources.nodes, nodeName)
  starting.defer(async () => void (await caisson(['node', 'leave'])))

  const archive = join(work, 'busybox.tar')
  await must(run('bash', [join(ROOT, 'examples/busybox-image.sh'), archive], { env }))
  await mustCaisson(['image', 'import', archive])
  await until(client, resources.serviceAccounts, { namespace: 'default', name: 'default' }, Boolean)
  const started = starting.move()
  return {
    plane,
    client,
    work,
    data,
    env,
    caisson,
    kubectl,
    mustCaisson,
    mustKubectl,
    node,
    address: async () => (await node()).status?.addresses?.find(({ type }) => type === 'InternalIP')?.address ?? '',
    async runPod(name, script, more = []) {
      const image = ['--image=busybox', '--image-pull-policy=Never', '--restart=Never']
      await mustKubectl(['run', name, ...image, ...more, '--', 'sh', '-c', script])
    },
    async ready(pod) {
      await mustKubectl(['wait', '--for=condition=Ready', `pod/${pod}`, '--timeout=60s'])
    },
    podUntil: (name, holds) => until(client, resources.pods, { namespace: 'default', name }, holds),
    [Symbol.asyncDispose]: () => started[Symbol.asyncDispose](),
  }
}
