/**
 * Writes `src/generated/core-schemas.json`: the structure (no descriptions) of the Kubernetes types that our kinds embed,
 * from Kubernetes' published OpenAPI description.
 *
 *   node packages/api/scripts/generate-core-schemas.ts [--check] [DIRECTORY]
 *
 * DIRECTORY holds the descriptions, such as `api__v1_openapi.json`; without it the Go module `k8s.io/kubernetes` is asked
 * for (Go must be there).
 */
import { execFileSync } from 'node:child_process'
import { readFileSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import type { StructuralSchema } from '../src/schema/structural-schema.ts'

const KUBERNETES = 'v1.34.4'
const DESCRIPTIONS = ['api__v1_openapi.json', 'apis__networking.k8s.io__v1_openapi.json']
const ROOTS = [
  'io.k8s.api.core.v1.PodSpec',
  'io.k8s.api.core.v1.PersistentVolumeClaimSpec',
  'io.k8s.api.networking.v1.NetworkPolicyEgressRule',
  'io.k8s.api.networking.v1.NetworkPolicyIngressRule',
]
const TARGET = new URL('../src/generated/core-schemas.json', import.meta.url)

/** What OpenAPI descriptions have and structural schemas have not. */
const DROPPED = new Set([
  'description',
  'x-kubernetes-patch-strategy',
  'x-kubernetes-patch-merge-key',
  'x-kubernetes-unions',
])

const REPLACED: Record<string, StructuralSchema> = {
  'io.k8s.apimachinery.pkg.api.resource.Quantity': {
    anyOf: [{ type: 'integer' }, { type: 'string' }],
    pattern:
      '^(\\+|-)?(([0-9]+(\\.[0-9]*)?)|(\\.[0-9]+))(([KMGTPE]i)|[numkMGTPE]|([eE](\\+|-)?(([0-9]+(\\.[0-9]*)?)|(\\.[0-9]+))))?$',
    'x-kubernetes-int-or-string': true,
  },
  'io.k8s.apimachinery.pkg.util.intstr.IntOrString': {
    anyOf: [{ type: 'integer' }, { type: 'string' }],
    'x-kubernetes-int-or-string': true,
  },
}

// The one place where ObjectMeta is embedded is an ephemeral volume's claim template, in which Kubernetes allows nothing
// but these two. (Upstream's CRD prunes both.)
const STRING_MAP: StructuralSchema = { type: 'object', additionalProperties: { type: 'string' } }
REPLACED['io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta'] = {
  type: 'object',
  properties: { annotations: STRING_MAP, labels: STRING_MAP },
}

// These Go types inline LocalObjectReference, whose mark upstream's CRD generator therefore puts on the whole type.
const ATOMIC = new Set(
  ['ConfigMapEnvSource', 'SecretEnvSource', 'ConfigMapVolumeSource', 'ConfigMapProjection', 'SecretProjection'].map(
    (name) => `io.k8s.api.core.v1.${name}`,
  ),
)

// Defaults that the API server fills into the Pod anyway and that upstream's CRD does not state.
const UNSTATED_DEFAULTS = new Set(['cachingMode', 'kind'])

type Described = Record<string, unknown>
type Schemas = Record<string, Described>

function main(): void {
  const { values, positionals } = parseArgs({ options: { check: { type: 'boolean' } }, allowPositionals: true })
  const text = generate(positionals[0] ?? downloadDescription())
  if (!values.check) return writeFileSync(TARGET, text)
  if (readFileSync(TARGET, 'utf8') !== text)
    throw new Error(`${TARGET.pathname} is stale: run this script without --check`)
}

function downloadDescription(): string {
  const module = execFileSync('go', ['mod', 'download', '-json', `k8s.io/kubernetes@${KUBERNETES}`], {
    cwd: tmpdir(),
    env: { ...process.env, GO111MODULE: 'on', GOFLAGS: '-mod=mod' },
  })
  return join((JSON.parse(module.toString()) as { Dir: string }).Dir, 'api/openapi-spec/v3')
}

function readSchemas(path: string): Schemas {
  const { components } = JSON.parse(readFileSync(path, 'utf8')) as { components: { schemas: Schemas } }
  return components.schemas
}

function generate(directory: string): string {
  const schemas = Object.assign({}, ...DESCRIPTIONS.map((name) => readSchemas(join(directory, name)))) as Schemas
  const structural = new Map<string, StructuralSchema>()
  const visit = (name: string): void => {
    if (structural.has(name)) return
    const described = schemas[name]
    if (!described) throw new Error(`the descriptions have no schema ${name}`)
    structural.set(name, {})
    const schema = REPLACED[name] ?? toStructural(described, visit)
    structural.set(name, ATOMIC.has(name) ? { ...schema, 'x-kubernetes-map-type': 'atomic' } : schema)
  }
  ROOTS.forEach(visit)
  const lines = [...structural]
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([name, schema]) => `${JSON.stringify(name)}:${JSON.stringify(schema)}`)
  return `{\n${lines.join(',\n')}\n}\n`
}

function toStructural(described: Described, visit: (name: string) => void): StructuralSchema {
  const reference = referenceOf(described)
  if (reference) {
    visit(reference)
    return { $ref: reference }
  }
  const schema: Described = {}
  for (const [key, value] of Object.entries(described)) {
    if (DROPPED.has(key) || key === 'default') continue
    if (key === 'properties') schema[key] = propertiesOf(described, visit)
    else if (key === 'items' || key === 'additionalProperties') schema[key] = toStructural(value as Described, visit)
    else schema[key] = value
  }
  return schema as StructuralSchema
}

function propertiesOf(described: Described, visit: (name: string) => void): Described {
  const required = new Set((described.required as string[] | undefined) ?? [])
  const properties = Object.entries(described.properties as Record<string, Described>).map(([name, property]) => {
    const { default: value, ...rest } = property
    const schema = toStructural(rest, visit)
    // The description states Go's zero value as the default of each field that is always sent; only what was asked for
    // on an optional field is a default that the API server fills in.
    const stated =
      value !== undefined && typeof value !== 'object' && !required.has(name) && !UNSTATED_DEFAULTS.has(name)
    return [name, stated ? { ...schema, default: value } : schema] as const
  })
  return Object.fromEntries(properties)
}

function referenceOf(described: Described): string | undefined {
  const [only] = (described.allOf as Described[] | undefined) ?? []
  const reference = (described.$ref ?? only?.$ref) as string | undefined
  return reference?.slice('#/components/schemas/'.length)
}

main()
