/**
 * A valid object with a mistake in it, at any depth: a walk down its schema, into fields that the object has and into
 * ones that it has not, and then a value there that is of the wrong type, out of bounds, missing, repeated or odd.
 */
import { isObject } from '../../packages/apiserver/src/patch/json-value.ts'
import { resolve } from '../../packages/apiserver/src/schema/builtin.ts'
import type { Schema } from '../../packages/apiserver/src/schema/schema.ts'
import { type Form, ODD, WORDS, WRONG } from './odd-values.ts'
import type { Random } from './script.ts'

export type Json = Record<string, unknown>

export interface Mutated {
  object: Json
  /** `spec.containers[0].image: ""` */
  what: string
  /** The names and indices that lead to the mistake. */
  path: ReadonlyArray<string | number>
}

/** `object` itself stays as it is. */
export function mutate(schema: Schema, object: Json, random: Random): Mutated {
  const copy = structuredClone(object)
  const site = descend(schema, copy, random)
  const value = mistake(site, random)
  put(site, value)
  const said = value === undefined ? 'left out' : shortened(JSON.stringify(value))
  return { object: copy, what: `${site.path.join('.').replaceAll(/\.(\d+)/g, '[$1]')}: ${said}`, path: site.path }
}

interface Site {
  schema: Schema
  holder: Json | unknown[]
  path: Array<string | number>
}

/** Parts that every object has; a walk that begins there says little about the kind. */
const COMMON = new Set(['apiVersion', 'kind', 'metadata', 'status'])

/** Means something for creations alone; afterwards some kinds look at it and others do not. */
const LEFT_ALONE = 'generateName'

function descend(root: Schema, object: Json, random: Random): Site {
  const path: Site['path'] = []
  let schema = resolve(root)
  let holder: Json | unknown[] = object
  for (;;) {
    const key = nextKey(schema, holder, path.length === 0, random)
    path.push(key)
    schema = resolve(partOf(schema, key))
    let value = valueAt(holder, key)
    // A walk that goes on into what is not there makes it.
    if (isLeaf(schema) || random.chance(0.15)) return { schema, holder, path }
    if (value === undefined || value === null) {
      value = sample(schema, String(key), random)
      put({ holder, path }, value)
    }
    if (typeof value !== 'object' || value === null) return { schema, holder, path }
    holder = value as Json | unknown[]
  }
}

function nextKey(schema: Schema, holder: Json | unknown[], atRoot: boolean, random: Random): string | number {
  if (Array.isArray(holder)) {
    if (holder.length === 0) holder.push(sample(resolve(schema.items ?? {}), '', random))
    return random.integer(holder.length)
  }
  const present = Object.keys(holder)
  if (!schema.properties) {
    if (present.length > 0 && random.chance(0.7)) return random.pick(present)
    return random.pick([
      'a',
      'b-c',
      'example.com/a',
      'cpu',
      'memory',
      '',
      'a b',
      'UP',
      'n'.repeat(300),
      'a/b/c',
      '\ud800',
    ])
  }
  const known = Object.keys(schema.properties).filter((key) => key !== LEFT_ALONE)
  for (;;) {
    const had = present.filter((key) => known.includes(key))
    const key = random.pick(had.length > 0 && random.chance(0.6) ? had : known)
    if (
      !atRoot ||
      !COMMON.has(key) ||
      random.chance(key === 'metadata' ? 0.2 : 0.02) ||
      known.every((name) => COMMON.has(name))
    )
      return key
  }
}

function partOf(schema: Schema, key: string | number): Schema {
  if (typeof key === 'number') return schema.items ?? {}
  const { additionalProperties } = schema
  return schema.properties?.[key] ?? (typeof additionalProperties === 'object' ? additionalProperties : {})
}

/** Without parts to walk into. */
function isLeaf(schema: Schema): boolean {
  if (schema.type === 'array') return !schema.items
  return !schema.properties && typeof schema.additionalProperties !== 'object'
}

function valueAt(holder: Json | unknown[], key: string | number): unknown {
  return (holder as Json)[key]
}

function put({ holder, path }: Pick<Site, 'holder' | 'path'>, value: unknown): void {
  const key = path.at(-1) ?? ''
  if (value !== undefined) (holder as Json)[key] = value
  else if (Array.isArray(holder)) holder.splice(Number(key), 1)
  else delete holder[key]
}

function formOf(schema: Schema): Form {
  if (schema['x-kubernetes-int-or-string'] || schema.format === 'int-or-string') return 'intOrString'
  if (schema.oneOf) return 'quantity'
  if (schema.format === 'date-time') return 'time'
  if (schema.format === 'byte') return 'bytes'
  if (schema.type === 'array') return 'list'
  if (schema.type !== 'object') return schema.type ?? 'any'
  return typeof schema.additionalProperties === 'object' ? 'map' : 'struct'
}

/** Undefined takes the value away. */
function mistake({ schema, holder, path }: Site, random: Random): unknown {
  const key = path.at(-1) ?? ''
  const value = valueAt(holder, key)
  const chance = random.next()
  if (chance < 0.1) return undefined
  if (chance < 0.15) return null
  if (chance < 0.28) return random.pick(WRONG)
  const form = formOf(schema)
  switch (form) {
    case 'list':
      return oddList(schema, Array.isArray(value) ? value : [], random)
    case 'map':
    case 'struct':
      return oddObject(schema, isObject(value) ? value : {}, random)
    case 'string': {
      const words = schema.enum ?? WORDS[String(key)]
      return words && random.chance(0.6) ? random.pick(words) : random.pick(ODD.string)
    }
    default:
      return random.pick(ODD[form])
  }
}

function oddList(schema: Schema, list: readonly unknown[], random: Random): unknown[] {
  const item = (): unknown => sample(resolve(schema.items ?? {}), '', random)
  const first = list[0] ?? item()
  return random.pick<() => unknown[]>([
    () => [],
    () => [...list, null],
    () => [...list, first, first],
    () => [...list, random.pick(WRONG)],
    () => [...list, item()],
    () => [item(), ...list],
    () => [{}],
    () => list.slice(1),
  ])()
}

function oddObject(schema: Schema, object: Json, random: Random): Json {
  const fields = Object.keys(schema.properties ?? {})
  // Of two fields that no schema knows it is chance which one kube-apiserver names: it walks through a map of Go's.
  const isUnknown = fields.length === 0 && schema.additionalProperties === undefined
  const more = (): Json => {
    const key = fields.length > 0 ? random.pick(fields) : random.pick(['a', 'c'])
    return { [key]: sample(resolve(partOf(schema, key)), key, random) }
  }
  return random.pick<() => Json>([
    () => ({}),
    () => ({ ...object, bogus: 1 }),
    () => ({ ...object, ...more() }),
    () => {
      const [one, other] = [more(), more()]
      return { ...object, ...one, ...(isUnknown ? {} : other) }
    },
    () => more(),
    () => sampleObject(schema, random),
  ])()
}

/** A plausible value, valid as far as a schema and names of fields tell. */
function sample(schema: Schema, name: string, random: Random, depth = 0): unknown {
  const form = formOf(schema)
  switch (form) {
    case 'list':
      return [sample(resolve(schema.items ?? {}), name.replace(/s$/, ''), random, depth + 1)]
    case 'map':
      return { a: sample(resolve(partOf(schema, 'a')), 'a', random, depth + 1) }
    case 'struct':
      return sampleObject(schema, random, depth)
    case 'string':
      return random.pick(schema.enum ?? WORDS[name] ?? ['a'])
    case 'any':
      return {}
    default:
      return PLAUSIBLE[form]
  }
}

const PLAUSIBLE = {
  integer: 1,
  number: 1,
  boolean: true,
  time: '2024-01-01T00:00:00Z',
  quantity: '1',
  intOrString: 80,
  bytes: 'AAEC',
} as const

function sampleObject(schema: Schema, random: Random, depth = 0): Json {
  const object: Json = {}
  for (const [name, part] of Object.entries(schema.properties ?? {})) {
    if (!schema.required?.includes(name) && !random.chance(0.3 / (depth + 1))) continue
    object[name] = sample(resolve(part), name, random, depth + 1)
  }
  return object
}

function shortened(text: string): string {
  return text.length > 60 ? `${text.slice(0, 60)}…` : text
}
