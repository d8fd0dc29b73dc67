/**
 * What the servers publish of custom resources in OpenAPI v2 and v3: CustomResourceDefinitions with random schemas, and
 * then both documents, as far as they are about them.
 */
import { randomObject } from './random-schemas.ts'
import { CRDS, post, type Writer } from './requests.ts'
import type { Memory, Random, Request } from './script.ts'

const GROUP = 'shapes.example.com'
const PREFIX = 'com.example.shapes.'
const SHAPES = 40
const VERSIONS = ['v1', 'v1beta1'] as const

type Json = Record<string, unknown>

function definition(index: number, random: Random): Json {
  const plural = `shape${index}s`
  const selectable = random.chance(0.2)
  const scalable = random.chance(0.2)
  const versions = VERSIONS.slice(0, random.chance(0.3) ? 2 : 1).map((name) => {
    const spec = randomObject(random, 4)
    const status = randomObject(random, 2)
    const counts = { replicas: { type: 'integer' }, mode: { type: 'string' } }
    return {
      name,
      served: true,
      storage: name === 'v1',
      schema: {
        openAPIV3Schema: {
          type: 'object',
          properties: {
            spec: { ...spec, properties: { ...(spec['properties'] as Json | undefined), ...counts } },
            status: { ...status, properties: { ...(status['properties'] as Json | undefined), ...counts } },
            ...(random.chance(0.2) && { metadata: { type: 'object' } }),
            ...(random.chance(0.2) && { kind: { type: 'string' } }),
          },
          ...(random.chance(0.3) && { required: ['spec'] }),
          ...(random.chance(0.1) && { 'x-kubernetes-preserve-unknown-fields': true }),
          ...(random.chance(0.3) && { description: `Shape ${index} in ${name}.` }),
        },
      },
      ...(selectable && { selectableFields: [{ jsonPath: '.spec.mode' }] }),
      subresources: {
        ...(random.chance(0.5) && { status: {} }),
        ...(scalable && { scale: { specReplicasPath: '.spec.replicas', statusReplicasPath: '.status.replicas' } }),
      },
    }
  })
  return {
    apiVersion: 'apiextensions.k8s.io/v1',
    kind: 'CustomResourceDefinition',
    metadata: { name: `${plural}.${GROUP}` },
    spec: {
      group: GROUP,
      scope: random.pick(['Namespaced', 'Cluster']),
      names: { plural, kind: `Shape${index}` },
      versions,
    },
  }
}

/** Come last: what kube-apiserver has to establish and to publish makes it slower with everything else. */
export function shapeDefinitions({ random, add }: Writer): void {
  for (let index = 0; index < SHAPES; index++)
    add(`definition of shape ${index}`, post(CRDS, definition(index, random)))
}

export function openApiSteps({ add }: Pick<Writer, 'add'>): void {
  for (const version of VERSIONS) {
    add(`openapi v3 of shapes ${version}`, (memory) => ({
      ...published(`/openapi/v3/apis/${GROUP}/${version}`, kindsOf(memory, version), (body) => body['components']),
      select: (body) => {
        const { components, paths } = body as { components: Json; paths: Json }
        return { schemas: ownDefinitions(components['schemas']), paths: ownPaths(paths) }
      },
    }))
  }
  add('openapi v2 of shapes', (memory) => {
    const kinds = VERSIONS.flatMap((version) => kindsOf(memory, version))
    return {
      ...published('/openapi/v2', kinds, (body) => body),
      select: (body) => {
        const { definitions, paths, parameters } = body as { definitions: Json; paths: Json; parameters?: Json }
        return { definitions: ownDefinitions(definitions), paths: ownPaths(paths, parameters) }
      },
    }
  })
}

/** Names of the definitions that this server has taken. */
function kindsOf(memory: Memory, version: string): string[] {
  const names: string[] = []
  for (let index = 0; index < SHAPES; index++) {
    const answer = memory.answer(`definition of shape ${index}`)
    const { spec } = (answer?.body ?? {}) as { spec?: { versions?: Array<{ name: string }> } }
    if (answer?.status !== 201 || !spec?.versions?.some(({ name }) => name === version)) continue
    names.push(`${PREFIX}${version}.Shape${index}`)
  }
  return names
}

function published(path: string, kinds: readonly string[], holder: (body: Json) => unknown): Request {
  return {
    method: 'GET',
    path,
    until: (body) => {
      const held = JSON.stringify(holder(body as Json) ?? null)
      return kinds.every((kind) => held.includes(`"${kind}":`))
    },
  }
}

function ownDefinitions(all: unknown): Json {
  const own = Object.entries(all as Json).filter(([name]) => name.startsWith(PREFIX))
  return Object.fromEntries(own.map(([name, schema]) => [name, exactDescriptions(schema)]))
}

/** Where fields that every object has are described in Kubernetes' own words, a definition's own words are compared. */
function exactDescriptions(schema: unknown): unknown {
  const text = JSON.stringify(schema, (key, value: unknown) =>
    key === 'description' && typeof value === 'string' && KUBERNETES_WORDS.test(value) ? undefined : value,
  )
  return JSON.parse(text.replaceAll('"description":', '"said":')) as unknown
}

const KUBERNETES_WORDS = /kubernetes|git\.k8s\.io|^Shape\d+List is a list of|^APIVersion defines|^Kind is/

/** Operations by path, without the words that describe them; parameters that are kept elsewhere are put in their place. */
function ownPaths(all: Json, shared: Json = {}): unknown {
  const own = Object.entries(all).filter(([path]) => path.startsWith(`/apis/${GROUP}/`))
  return JSON.parse(
    JSON.stringify(Object.fromEntries(own), (key, value: unknown) => {
      if (key === 'description') return undefined
      if (key !== 'parameters' || !Array.isArray(value)) return value
      const parameters = value as Array<{ name: string; $ref?: string }>
      return parameters
        .map((one) => (one.$ref ? shared[one.$ref.replace('#/parameters/', '')] : one) as typeof one)
        .toSorted(byName)
    }),
  )
}

function byName(a: { name: string }, b: { name: string }): number {
  return a.name < b.name ? -1 : 1
}
