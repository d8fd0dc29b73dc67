/**
 * Objects of every kind with a mistake in them, at any depth of their schemas: created, put and patched, all of it as dry
 * runs, so that no answer depends on the one before.
 */
import {
  type CustomResourceDefinition,
  claimCrd,
  poolCrd,
  sandboxCrd,
  templateCrd,
} from '../../packages/api/src/index.ts'
import { isObject } from '../../packages/apiserver/src/patch/json-value.ts'
import { builtinResources } from '../../packages/apiserver/src/registry/builtin/index.ts'
import { groupVersion } from '../../packages/apiserver/src/registry/registry.ts'
import { resolve } from '../../packages/apiserver/src/schema/builtin.ts'
import type { Schema } from '../../packages/apiserver/src/schema/schema.ts'
import { FURTHER_KINDS } from './further-kinds.ts'
import { KINDS } from './kinds.ts'
import { type Json, type Mutated, mutate } from './mutations.ts'
import { objectOf } from './object-life.ts'
import { type Add, CRDS, collection, get, PATCHES, post, type Writer } from './requests.ts'
import { field, type Memory, type Random, type Step } from './script.ts'

/** Whose status a server writes in its own time: that makes what is answered to changes of them the server's own. */
const CREATED_ONLY = new Set(['ResourceQuota', 'FlowSchema', 'ValidatingAdmissionPolicy', 'CustomResourceDefinition'])

interface Subject {
  /** Of the collection. */
  path: string
  name: string
  schema: Schema
  custom: boolean
  object: Json
}

const NAME = 'g0'

/** kube-apiserver serves a new definition a moment after it has answered: what needs it comes last. */
export function generatedDefinitions(add: Add): void {
  for (const definition of CUSTOM) add(`definition of ${definition.metadata.name}`, post(CRDS, definition))
}

/** `count` requests of each kind. */
export function generatedObjects({ random, add }: Writer, count: number): void {
  for (const { path, object } of customSubjects())
    add(`collection of ${path}`, {
      ...get(path),
      until: (body) => isObject(body) && body['kind'] === `${String(object['kind'])}List`,
    })
  for (const subject of subjects(random)) {
    const kind = `${String(subject.object['apiVersion'])} ${String(subject.object['kind'])}`
    add(createdBy(subject.object), post(subject.path, subject.object))
    for (let index = 0; index < count; index++) {
      const mutated = mutate(subject.schema, subject.object, random)
      const [verb, request] = requestFor(subject, mutated, random)
      add(`generated ${kind}: ${verb} with ${mutated.what}`, request)
    }
  }
}

const CUSTOM: readonly CustomResourceDefinition[] = [sandboxCrd(), templateCrd(), claimCrd(), poolCrd()]

function subjects(random: Random): Subject[] {
  const schemas = new Map(
    builtinResources().map((resource) => [`${groupVersion(resource)} ${resource.kind}`, resolve(resource.schema)]),
  )
  const schemaOf = (kind: { apiVersion: string; kind: string }): Schema => {
    const schema = schemas.get(`${kind.apiVersion} ${kind.kind}`)
    if (!schema) throw new Error(`no schema of ${kind.apiVersion} ${kind.kind}`)
    return schema
  }
  const known = KINDS.map((kind) => ({
    path: collection(kind),
    name: NAME,
    schema: schemaOf(kind),
    custom: false,
    object: objectOf(kind, NAME, random),
  }))
  const further = FURTHER_KINDS.map(({ fields, name = NAME, ...kind }) => ({
    path: collection({ ...kind }),
    name,
    schema: schemaOf(kind),
    custom: false,
    object: { apiVersion: kind.apiVersion, kind: kind.kind, metadata: { name }, ...fields },
  }))
  return [...known, ...further, ...customSubjects()]
}

function customSubjects(): Subject[] {
  return CUSTOM.map(({ spec }) => {
    const version = spec.versions.find(({ storage }) => storage)
    if (!version) throw new Error(`no version of ${spec.names.kind} is stored`)
    const apiVersion = `${spec.group}/${version.name}`
    return {
      path: `/apis/${apiVersion}/namespaces/one/${spec.names.plural}`,
      name: NAME,
      schema: version.schema.openAPIV3Schema as Schema,
      custom: true,
      object: { apiVersion, kind: spec.names.kind, metadata: { name: NAME }, spec: CUSTOM_SPECS[spec.names.kind] },
    }
  })
}

const pod = { spec: { containers: [{ name: 'main', image: 'busybox', ports: [{ containerPort: 80 }] }] } }
const CUSTOM_SPECS: Readonly<Record<string, Json>> = {
  Sandbox: { podTemplate: pod },
  SandboxTemplate: { podTemplate: pod },
  SandboxClaim: { warmPoolRef: { name: 'a' } },
  SandboxWarmPool: { replicas: 1, sandboxTemplateRef: { name: 'a' } },
}

type Verb = 'create' | 'update' | keyof typeof PATCHES

function requestFor(
  { path, name, custom, object }: Subject,
  mutated: Mutated,
  random: Random,
): [Verb, Step['request']] {
  const verb = random.pick<Verb>(
    CREATED_ONLY.has(String(object['kind']))
      ? ['create']
      : ['create', 'update', 'merge', 'apply', ...(custom ? [] : (['strategic'] as const))],
  )
  const query = { dryRun: 'All', fieldValidation: random.pick(['Strict', 'Warn']) }
  const item = `${path}/${name}`
  const patch = { method: 'PATCH', path: item } as const
  switch (verb) {
    case 'create':
      return [verb, post(path, renamed(mutated.object, name), query)]
    case 'update':
      return [
        verb,
        (memory) => ({ method: 'PUT', path: item, body: upToDate(mutated.object, createdBy(object), memory), query }),
      ]
    case 'apply':
      return [
        verb,
        {
          ...patch,
          contentType: PATCHES.apply,
          body: mutated.object,
          query: { ...query, fieldManager: 'applier', force: 'true' },
        },
      ]
    default:
      return [verb, { ...patch, contentType: PATCHES[verb], body: changeOf(mutated), query }]
  }
}

/** With the version of the live object, which some kinds ask for. */
function upToDate(object: Json, created: string, memory: Memory): Json {
  const { metadata } = object
  const resourceVersion = field(memory, created, 'metadata.resourceVersion')
  if (!isObject(metadata) || resourceVersion === '') return object
  return { ...object, metadata: { resourceVersion, ...metadata } }
}

function createdBy({ apiVersion, kind }: Json): string {
  return `generated ${String(apiVersion)} ${String(kind)}: create`
}

/** The live object has the name already, unless the mistake is there; some kinds have no other. */
function renamed(object: Json, name: string): Json {
  const { metadata } = object
  if (!isObject(metadata) || metadata['name'] !== name || name.includes('.')) return object
  return { ...object, metadata: { ...metadata, name: `${name}-new` } }
}

/** What leads to the mistake and nothing beside it; lists are whole. */
function changeOf({ object, path }: Mutated): unknown {
  const within = (value: unknown, [key, ...rest]: ReadonlyArray<string | number>): unknown => {
    if (key === undefined || Array.isArray(value) || typeof value !== 'object' || value === null) return value
    return { [key]: key in value ? within((value as Json)[key], rest) : null }
  }
  return within(object, path)
}
