/**
 * Writes src/schema/generated/: the structure of Kubernetes' built-in definitions, without descriptions.
 *
 *     node packages/apiserver/scripts/generate-schemas.ts            writes them
 *     node packages/apiserver/scripts/generate-schemas.ts --check    exits 1 when the committed ones differ
 *
 * Structure, defaults and list types come from the OpenAPI v3 files inside the Go module `k8s.io/kubernetes`. What OpenAPI
 * does not say, which fields are pointers and which are left out when empty, comes from the struct tags of the Go types,
 * as `x-go`: without it a stored object would not look like kube-apiserver's. Needs `go` and the Go module proxy.
 */
import { execFileSync } from 'node:child_process'
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { type GoField, goFields } from './go-types.ts'

const VERSION = '1.34.4'

/** Everything reachable from these is kept. */
const ROOTS = [
  ...kinds('io.k8s.api.core.v1', 'Namespace Pod Service ConfigMap Secret ServiceAccount PersistentVolumeClaim'),
  ...kinds('io.k8s.api.core.v1', 'PersistentVolume Event Node Endpoints'),
  ...kinds('io.k8s.api.core.v1', 'ResourceQuota LimitRange PodTemplate'),
  'io.k8s.api.core.v1.Binding',
  ...kinds('io.k8s.api.core.v1', 'ReplicationController'),
  ...kinds('io.k8s.api.apps.v1', 'ControllerRevision DaemonSet Deployment ReplicaSet StatefulSet'),
  ...kinds('io.k8s.api.admissionregistration.v1', 'MutatingWebhookConfiguration ValidatingWebhookConfiguration'),
  ...kinds('io.k8s.api.admissionregistration.v1', 'ValidatingAdmissionPolicy ValidatingAdmissionPolicyBinding'),
  ...kinds('io.k8s.api.autoscaling.v1', 'HorizontalPodAutoscaler'),
  ...kinds('io.k8s.api.autoscaling.v2', 'HorizontalPodAutoscaler'),
  ...kinds('io.k8s.api.batch.v1', 'CronJob Job'),
  ...kinds('io.k8s.api.policy.v1', 'PodDisruptionBudget'),
  ...kinds('io.k8s.api.coordination.v1', 'Lease'),
  ...kinds('io.k8s.api.events.v1', 'Event'),
  ...kinds('io.k8s.api.node.v1', 'RuntimeClass'),
  ...kinds('io.k8s.api.storage.v1', 'CSIDriver CSINode CSIStorageCapacity StorageClass VolumeAttachment'),
  ...kinds('io.k8s.api.networking.v1', 'Ingress IngressClass IPAddress NetworkPolicy ServiceCIDR'),
  ...kinds('io.k8s.api.flowcontrol.v1', 'FlowSchema PriorityLevelConfiguration'),
  ...kinds('io.k8s.api.certificates.v1', 'CertificateSigningRequest'),
  ...kinds('io.k8s.api.rbac.v1', 'Role ClusterRole RoleBinding ClusterRoleBinding'),
  ...kinds('io.k8s.api.scheduling.v1', 'PriorityClass'),
  ...kinds('io.k8s.api.discovery.v1', 'EndpointSlice'),
  ...kinds('io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1', 'CustomResourceDefinition'),
  ...kinds('io.k8s.kube-aggregator.pkg.apis.apiregistration.v1', 'APIService'),
  'io.k8s.api.authentication.v1.TokenReview',
  'io.k8s.api.authentication.v1.TokenRequest',
  'io.k8s.api.authentication.v1.SelfSubjectReview',
  'io.k8s.api.authorization.v1.SubjectAccessReview',
  'io.k8s.api.authorization.v1.SelfSubjectAccessReview',
  'io.k8s.api.authorization.v1.LocalSubjectAccessReview',
  'io.k8s.api.authorization.v1.SelfSubjectRulesReview',
  'io.k8s.api.policy.v1.Eviction',
  'io.k8s.api.autoscaling.v1.Scale',
  'io.k8s.apimachinery.pkg.apis.meta.v1.Status',
  'io.k8s.apimachinery.pkg.apis.meta.v1.DeleteOptions',
  'io.k8s.apimachinery.pkg.apis.meta.v1.Patch',
  'io.k8s.apimachinery.pkg.apis.meta.v1.WatchEvent',
  'io.k8s.apimachinery.pkg.apis.meta.v1.APIGroup',
  'io.k8s.apimachinery.pkg.apis.meta.v1.APIGroupList',
  'io.k8s.apimachinery.pkg.apis.meta.v1.APIResourceList',
  'io.k8s.apimachinery.pkg.apis.meta.v1.APIVersions',
]

const KEPT = [
  'type',
  'format',
  'required',
  'default',
  'enum',
  'oneOf',
  'x-kubernetes-list-type',
  'x-kubernetes-list-map-keys',
  'x-kubernetes-map-type',
  'x-kubernetes-patch-strategy',
  'x-kubernetes-patch-merge-key',
  'x-kubernetes-unions',
  'x-kubernetes-group-version-kind',
]

type Json = Record<string, unknown>

function kinds(group: string, names: string): string[] {
  return names.split(' ').flatMap((name) => [`${group}.${name}`, `${group}.${name}List`])
}

function moduleDirectory(module: string): string {
  const scratch = mkdtempSync(join(tmpdir(), 'generate-schemas-'))
  try {
    execFileSync('go', ['mod', 'init', 'scratch'], { cwd: scratch, stdio: 'ignore' })
    return JSON.parse(execFileSync('go', ['mod', 'download', '-json', module], { cwd: scratch, encoding: 'utf8' })).Dir
  } finally {
    rmSync(scratch, { recursive: true })
  }
}

/** All definitions of all v3 files; the same name means the same definition everywhere. */
function readDefinitions(directory: string): Map<string, Json> {
  const definitions = new Map<string, Json>()
  for (const file of readdirSync(directory).sort()) {
    const schemas = JSON.parse(readFileSync(join(directory, file), 'utf8')).components?.schemas ?? {}
    for (const [name, schema] of Object.entries<Json>(schemas)) {
      const known = definitions.get(name)
      // A shared definition lists only the groups of its own file in its group-version-kinds.
      const merged = gvksOf(known).concat(gvksOf(schema))
      if (merged.length) {
        const unique = new Map(merged.map((gvk) => [JSON.stringify(gvk), gvk]))
        schema['x-kubernetes-group-version-kind'] = [...unique.values()]
      }
      definitions.set(name, schema)
    }
  }
  return definitions
}

function gvksOf(schema: Json | undefined): Json[] {
  return (schema?.['x-kubernetes-group-version-kind'] as Json[] | undefined) ?? []
}

/** The schema without prose; `allOf` of one reference becomes the reference. */
function reduce(schema: Json, references: Set<string>): Json {
  const reduced: Json = {}
  const [only, ...others] = (schema['allOf'] as Json[] | undefined) ?? []
  if (others.length) throw new Error(`allOf of several: ${JSON.stringify(schema)}`)
  const reference = (schema['$ref'] ?? only?.['$ref']) as string | undefined
  if (reference) {
    const name = reference.replace('#/components/schemas/', '')
    references.add(name)
    reduced['$ref'] = name
  }
  for (const key of KEPT) if (schema[key] !== undefined) reduced[key] = schema[key]
  if (schema['items']) {
    const { default: _unused, ...items } = reduce(schema['items'] as Json, references)
    reduced['items'] = items
  }
  const additional = schema['additionalProperties']
  if (additional && typeof additional === 'object') {
    const { default: _unused, ...values } = reduce(additional as Json, references)
    reduced['additionalProperties'] = values
  }
  const properties = schema['properties'] as Record<string, Json> | undefined
  if (properties) {
    reduced['properties'] = Object.fromEntries(
      Object.entries(properties).map(([name, property]) => [name, reduce(property, references)]),
    )
  }
  return reduced
}

function addGoTypes(name: string, schema: Json, fields: ReadonlyMap<string, GoField> | undefined): void {
  const properties = schema['properties'] as Record<string, Json> | undefined
  if (!properties) return
  if (!fields) throw new Error(`no Go type found for ${name}`)
  for (const [property, value] of Object.entries(properties)) {
    const field = fields.get(property)
    if (!field) throw new Error(`no Go field for ${name}.${property}`)
    value['x-go'] = field.tags ? `${field.type},${field.tags}` : field.type
  }
}

function generate(): Map<string, string> {
  const definitions = readDefinitions(join(moduleDirectory(`k8s.io/kubernetes@v${VERSION}`), 'api/openapi-spec/v3'))
  const staging = `v0.${VERSION.slice(2)}`
  const sources: Array<[prefix: string, directory: string]> = [
    ['io.k8s.api.', moduleDirectory(`k8s.io/api@${staging}`)],
    ['io.k8s.apimachinery.', moduleDirectory(`k8s.io/apimachinery@${staging}`)],
    ['io.k8s.apiextensions-apiserver.', moduleDirectory(`k8s.io/apiextensions-apiserver@${staging}`)],
    ['io.k8s.kube-aggregator.', moduleDirectory(`k8s.io/kube-aggregator@${staging}`)],
  ]
  const reduced = new Map<string, Json>()
  const queue = [...ROOTS]
  for (let name = queue.pop(); name !== undefined; name = queue.pop()) {
    if (reduced.has(name)) continue
    const definition = definitions.get(name)
    if (!definition) throw new Error(`Kubernetes ${VERSION} does not define ${name}`)
    const references = new Set<string>()
    const schema = reduce(definition, references)
    reduced.set(name, schema)
    queue.push(...references)
    const source = sources.find(([prefix]) => (name as string).startsWith(prefix))
    if (!source) throw new Error(`no Go module known for ${name}`)
    const path = name.slice(source[0].length).split('.')
    const type = path.pop() as string
    addGoTypes(name, schema, goFields(join(source[1], ...path), type))
  }
  const files = new Map<string, string[]>()
  for (const name of [...reduced.keys()].sort()) {
    const at = name.lastIndexOf('.')
    const file = `${name.slice(0, at)}.json`
    const lines = files.get(file) ?? []
    lines.push(`${JSON.stringify(name.slice(at + 1))}:${JSON.stringify(reduced.get(name))}`)
    files.set(file, lines)
  }
  // Kubernetes' own description leaves them to metrics-server.
  const metrics = JSON.parse(readFileSync(new URL('./metrics-definitions.json', import.meta.url), 'utf8')) as Json
  files.set(
    'io.k8s.metrics.pkg.apis.metrics.v1beta1.json',
    Object.entries(metrics).map(([name, schema]) => `${JSON.stringify(name)}:${JSON.stringify(schema)}`),
  )
  return new Map([...files].map(([file, lines]): [string, string] => [file, `{\n${lines.join(',\n')}\n}\n`]))
}

const target = fileURLToPath(new URL('../src/schema/generated/', import.meta.url))
const generated = generate()
const existing = readdirSync(target).filter((file) => file.endsWith('.json'))
if (process.argv.includes('--check')) {
  const stale = [...generated].filter(
    ([file, text]) => !existing.includes(file) || readFileSync(join(target, file), 'utf8') !== text,
  )
  const extra = existing.filter((file) => !generated.has(file))
  const differing = [...stale.map(([file]) => file), ...extra]
  if (differing.length) {
    console.error(`out of date: ${differing.join(', ')}; run node packages/apiserver/scripts/generate-schemas.ts`)
    process.exitCode = 1
  }
} else {
  for (const file of existing) if (!generated.has(file)) rmSync(join(target, file))
  for (const [file, text] of generated) writeFileSync(join(target, file), text)
}
