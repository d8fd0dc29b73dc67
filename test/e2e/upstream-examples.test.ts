/** The examples that agent-sandbox publishes in its Go module: each is taken as it is written, and says what agent-sandbox says. */
import { readdirSync, readFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest'
import { parseAllDocuments } from 'yaml'
import {
  KUBERNETES_YAML,
  type Sandbox,
  type SandboxClaim,
  type SandboxTemplate,
  type SandboxWarmPool,
} from '../../packages/api/src/index.ts'
import { hasGo, moduleDirectory } from '../cluster/build-control-plane.ts'
import { type Cluster, findKubectl, must, run, startCluster } from './fixture.ts'

const isRun = hasGo() && findKubectl() !== undefined
if (!isRun) console.log("Go or kubectl is not installed: agent-sandbox's own examples are not applied")

interface Manifest {
  apiVersion: string
  kind: string
  metadata: { name: string; namespace?: string; labels?: Record<string, string> }
  spec?: object
}
type Live = Manifest & Pick<Sandbox, 'metadata' | 'status'>
interface File {
  name: string
  objects: Manifest[]
}

/** Kinds of other projects are not there, and a file that has one of them is left out. */
const KNOWN =
  /^(v1|(apps|autoscaling|batch|policy)\/.*|(rbac\.authorization|networking|admissionregistration|flowcontrol\.apiserver)\.k8s\.io\/.*|(extensions\.)?agents\.x-k8s\.io\/.*)$/
/** How many files that leaves of the version that is downloaded. */
const APPLIED = 134
/** What one of them takes to be there. */
const STORAGE_CLASS = 'dynamic-rwo'
/** Admission of Pods asks for their ServiceAccount; some files are named so that theirs comes later. */
const FIRST = new Set(['Namespace', 'ServiceAccount'])
/** Parts of what the kustomization.yaml beside them makes: no whole objects. */
const PATCH = /^vscode-sandbox\/overlays\/[^/]+\/patch-/
/** Applied as `kubectl apply -k` does. */
const KUSTOMIZATION = /(^|\/)kustomization\.yaml$/

/** Names that a user puts in with envsubst are their own here. */
function parse(text: string): Manifest[] {
  const filled = text.replaceAll(/\$\{[A-Z_]+\}/g, (name) => name.slice(2, -1).toLowerCase().replaceAll('_', '-'))
  return parseAllDocuments(filled, KUBERNETES_YAML)
    .map((document) => {
      for (const error of document.errors) throw error
      return document.toJS() as Manifest | null
    })
    .filter((object) => object !== null)
}

async function readFile(root: string, name: string): Promise<File> {
  if (!KUSTOMIZATION.test(name)) return { name, objects: parse(readFileSync(join(root, name), 'utf8')) }
  const made = run(findKubectl() ?? 'kubectl', ['kustomize', dirname(join(root, name))])
  return { name, objects: parse(await must(made, `kubectl kustomize of ${name}`)) }
}

const isKnown = ({ apiVersion }: Manifest): boolean => KNOWN.test(apiVersion)
const identity = ({ kind, metadata }: Manifest): string => `${kind} ${metadata.namespace ?? 'default'}/${metadata.name}`

/** The files of each example together; a file that has an object of another in it is instead of that. */
function variantsOf(files: readonly File[]): File[][] {
  const variants: File[][] = [[]]
  for (const file of files) {
    const names = new Set(file.objects.map(identity))
    const current = variants.at(-1) ?? []
    const others = current.filter(({ objects }) => !objects.some((object) => names.has(identity(object))))
    if (others.length === current.length) current.push(file)
    else variants.push([...others, file])
  }
  return variants
}

/** Each with the files that are applied together. */
async function readExamples(): Promise<[name: string, files: File[]][]> {
  const root = join(moduleDirectory('agent-sandbox'), 'examples')
  const names = readdirSync(root, { recursive: true })
    .map(String)
    .filter((name) => /\.ya?ml$/.test(name) && !PATCH.test(name))
    .sort((a, b) => Number(KUSTOMIZATION.test(a)) - Number(KUSTOMIZATION.test(b)) || (a < b ? -1 : 1))
  const files = await Promise.all(names.map((name) => readFile(root, name)))
  const applied = files.filter(({ objects }) => objects.length > 0 && objects.every(isKnown))
  const byExample = Map.groupBy(applied, ({ name }) => name.split('/')[0] ?? '')
  return [...byExample].flatMap(([example, ofExample]) =>
    variantsOf(ofExample).map((variant, index): [string, File[]] => [`${example}-${index + 1}`, variant]),
  )
}

/**
 * The same in namespaces of its own, where Pod Security keeps nobody from anything, as in a cluster of agent-sandbox's; on
 * the node that there is, without containers: their RuntimeClasses and nodes are those of clouds.
 */
function placed(prefix: string, object: Manifest): Manifest {
  const { metadata } = object
  if (object.kind === 'Namespace') return { ...object, metadata: { ...metadata, name: `${prefix}-${metadata.name}` } }
  const namespace = `${prefix}-${metadata.namespace ?? 'default'}`
  return { ...withoutContainers(object), metadata: { ...metadata, namespace } }
}

function withoutContainers<T>(value: T): T {
  if (Array.isArray(value)) return value.map(withoutContainers) as T
  if (typeof value !== 'object' || value === null) return value
  const inner = Object.fromEntries(Object.entries(value).map(([key, each]) => [key, withoutContainers(each)]))
  if (!Array.isArray(inner['containers'])) return inner as T
  const { nodeSelector: _, ...spec } = inner
  return { ...spec, runtimeClassName: 'fake' } as T
}

/** A claim that takes a Sandbox changes it; and some files change what another made. */
const CURRENT = 'that of the object'
const condition = (type: string, status: string, reason: string, message: string) => ({
  type,
  status,
  reason,
  message,
  observedGeneration: CURRENT,
  lastTransitionTime: expect.stringMatching(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$/),
})
const ready = (hasService: boolean) =>
  condition('Ready', 'True', 'DependenciesReady', hasService ? 'Pod is Ready; Service Exists' : 'Pod is Ready')
const anyName = expect.any(String)

function sandboxStatus(hasService: boolean) {
  return {
    selector: expect.stringMatching(/^agents\.x-k8s\.io\/sandbox-name-hash=[0-9a-f]{8}$/),
    podIPs: [expect.any(String)],
    nodeName: expect.any(String),
    ...(hasService && { service: anyName, serviceFQDN: expect.stringMatching(/\.svc\.cluster\.local$/) }),
    conditions: [
      condition('Suspended', 'False', 'NotSuspended', 'Sandbox is not suspended'),
      condition('PodScheduled', 'True', 'PodScheduled', ''),
      ready(hasService),
    ],
  }
}

/** Of the CustomResourceDefinition. */
const DEFAULT_REPLICAS = 1

/** The counts and the selector are agent-sandbox's, the conditions ours. */
function poolStatus(replicas: number) {
  const all = replicas === 1 ? 'the member is Ready' : `all ${replicas} members are Ready`
  return {
    replicas,
    readyReplicas: replicas,
    updatedReplicas: replicas,
    selector: expect.stringMatching(/^agents\.x-k8s\.io\/warm-pool-sandbox=[0-9a-f]{8}$/),
    observedGeneration: CURRENT,
    conditions: [
      condition('Ready', 'True', 'Filled', replicas === 0 ? 'no members are wanted' : all),
      condition('Progressing', 'False', 'Complete', 'there is nothing to do'),
      condition('Degraded', 'False', 'AsExpected', 'nothing is wrong'),
    ],
  }
}

/** What a claim is told that its template does not allow: some examples are there to show it. */
function refusal(claim: SandboxClaim['spec'], template: SandboxTemplate['spec'] | undefined) {
  const refused = (reason: string, message: string) => condition('Ready', 'False', reason, message)
  if (claim.env && (template?.envVarsInjectionPolicy ?? 'Disallowed') === 'Disallowed')
    return refused(
      'EnvVarsInjectionRejected',
      'environment variable injection rejected: environment variable injection is not allowed by the template policy',
    )
  if (claim.volumeClaimTemplates && (template?.volumeClaimTemplatesPolicy ?? 'Disallowed') === 'Disallowed')
    return refused(
      'VolumeClaimTemplatesError',
      'failed to merge volume claim templates: volume claim templates are disallowed by the template',
    )
  return undefined
}

type Told = [what: string, status: unknown]
const sorted = (told: Told[]): Told[] => told.toSorted(([a], [b]) => (a < b ? -1 : 1))

/** What each object, and each that is made for it, has to say in the end. */
function expected(objects: readonly Manifest[]): Told[] {
  const of = <T>(kind: string) => objects.filter((each) => each.kind === kind) as unknown as T[]
  const templates = of<SandboxTemplate>('SandboxTemplate')
  const pools = of<SandboxWarmPool>('SandboxWarmPool')
  const templateOf = (pool: SandboxWarmPool | undefined): SandboxTemplate | undefined =>
    templates.find(
      ({ metadata }) =>
        metadata.name === pool?.spec.sandboxTemplateRef.name && metadata.namespace === pool?.metadata.namespace,
    )
  const told = of<Sandbox>('Sandbox').map(
    ({ metadata, spec }): Told => [`Sandbox ${metadata.name}`, sandboxStatus(spec.service ?? false)],
  )
  for (const pool of pools) {
    const { name } = pool.metadata
    const replicas = pool.spec.replicas ?? DEFAULT_REPLICAS
    told.push([`SandboxWarmPool ${name}`, poolStatus(replicas)])
    for (let member = 0; member < replicas; member++)
      told.push([`Sandbox of SandboxWarmPool ${name}`, sandboxStatus(templateOf(pool)?.spec.service ?? false)])
  }
  for (const { metadata, spec } of of<SandboxClaim>('SandboxClaim')) {
    const isBeside = (each: SandboxWarmPool): boolean => each.metadata.namespace === metadata.namespace
    const template = templateOf(pools.find((each) => each.metadata.name === spec.warmPoolRef?.name && isBeside(each)))
    const refused = refusal(spec, template?.spec)
    const hasService = template?.spec.service ?? false
    const sandbox = { name: anyName, podIPs: [expect.any(String)], ...(hasService && { serviceFQDN: anyName }) }
    const status = refused ? { conditions: [refused] } : { conditions: [ready(hasService)], sandbox }
    told.push([`SandboxClaim ${metadata.name}`, status])
    if (!refused) told.push([`Sandbox of SandboxClaim ${metadata.name}`, sandboxStatus(hasService)])
  }
  return sorted(told)
}

describe.runIf(isRun)("agent-sandbox's examples", async () => {
  const examples = isRun ? await readExamples() : []
  let cluster: Cluster
  beforeAll(async () => {
    cluster = await startCluster({ up: ['--fake-runtime'] })
    const { items } = JSON.parse(await cluster.mustKubectl(['get', 'storageclasses', '-o', 'json']))
    const { metadata: _, ...storage } = items[0]
    const theirs = { ...storage, metadata: { name: STORAGE_CLASS } }
    await cluster.mustKubectl(['apply', '-f', '-'], { input: JSON.stringify(theirs) })
  })
  afterAll(() => cluster?.[Symbol.asyncDispose]())

  async function found(namespaces: readonly string[]): Promise<Told[]> {
    const kinds = 'sandboxes.agents.x-k8s.io,swp,sandboxclaims.extensions.agents.x-k8s.io'
    const lists = namespaces.map((namespace) => cluster.mustKubectl(['get', kinds, '-n', namespace, '-o', 'json']))
    const items = (await Promise.all(lists)).flatMap((list) => (JSON.parse(list) as { items: Live[] }).items)
    return sorted(
      items.map(({ kind, metadata, status }) => {
        const [owner] = metadata.ownerReferences ?? []
        const current = (key: string, value: unknown): unknown =>
          key === 'observedGeneration' && value === metadata.generation ? CURRENT : value
        const said: unknown = JSON.parse(JSON.stringify(status ?? null), current)
        return [owner ? `${kind} of ${owner.kind} ${owner.name}` : `${kind} ${metadata.name}`, said]
      }),
    )
  }

  test('are those that are published', () => {
    expect(new Set(examples.flatMap(([, files]) => files.map(({ name }) => name))).size).toBe(APPLIED)
  })

  test.each(examples)('%s', async (name, files) => {
    const objects = files.flatMap((file) => file.objects.map((each) => placed(name, each)))
    const namespaces = [
      ...new Set(
        objects.map(({ kind, metadata }) => (kind === 'Namespace' ? metadata.name : (metadata.namespace ?? ''))),
      ),
    ]
    const labels = { 'pod-security.kubernetes.io/enforce': 'privileged' }
    const made = namespaces.map((each) => ({ apiVersion: 'v1', kind: 'Namespace', metadata: { name: each, labels } }))
    const first = (object: Manifest): number => Number(!FIRST.has(object.kind))
    const applied = [...made, ...objects.toSorted((a, b) => first(a) - first(b))]
    const input = applied.map((each) => JSON.stringify(each)).join('\n---\n')
    // Policies are everybody's.
    onTestFinished(async () => {
      await cluster.mustKubectl(['delete', '--ignore-not-found', '--wait=false', '-f', '-'], { input })
    })
    await cluster.mustKubectl(['apply', '--validate=strict', '-f', '-'], { input })
    await expect.poll(() => found(namespaces)).toEqual(expected(objects))
  })
})
