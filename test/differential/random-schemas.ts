/** Structural schemas at random, of every shape that a CustomResourceDefinition may give its objects. */
import type { Random } from './script.ts'

type Schema = Record<string, unknown>

/** A schema of an object, its properties `p0`, `p1` … of all kinds, at most `depth` objects below each other. */
export function randomObject(random: Random, depth: number): Schema {
  const properties: Schema = {}
  for (let index = random.integer(5); index > 0; index--) properties[`p${index}`] = randomSchema(random, depth - 1)
  const names = Object.keys(properties)
  const required = names.filter(() => random.chance(0.3))
  return {
    type: 'object',
    ...((names.length > 0 || random.chance(0.3)) && { properties }),
    ...((required.length > 0 || random.chance(0.1)) && { required }),
    ...(names.length > 0 && random.chance(0.15) && alternatives(random, names)),
    ...(random.chance(0.1) && { 'x-kubernetes-map-type': random.pick(['atomic', 'granular']) }),
    ...(random.chance(0.1) && { 'x-kubernetes-preserve-unknown-fields': true }),
    ...(random.chance(0.1) && { maxProperties: 30 + random.integer(10) }),
  }
}

function randomSchema(random: Random, depth: number): Schema {
  const make = random.pick(depth > 0 ? [...SCALARS, ...COMPOSITES, ...COMPOSITES] : SCALARS)
  return { ...make(random, depth), ...remarks(random) }
}

/** What any schema may say of itself. */
function remarks(random: Random): Schema {
  return {
    ...(random.chance(0.15) && { description: random.pick(['Says "what".', 'Two\nlines.', 'ä']) }),
    ...(random.chance(0.05) && { title: 'A title' }),
    ...(random.chance(0.2) && { nullable: random.chance(0.9) }),
    ...(random.chance(0.1) && { 'x-kubernetes-validations': [rule(random)] }),
  }
}

function rule(random: Random): Schema {
  return {
    rule: 'true',
    ...(random.chance(0.5) && { message: 'never said' }),
    ...(random.chance(0.3) && { reason: 'FieldValueForbidden' }),
  }
}

/** Constraints on what the properties say already: a structural schema may not add anything in them. */
function alternatives(random: Random, names: readonly string[]): Schema {
  const clause = (): Schema =>
    random.chance(0.5)
      ? { required: [random.pick(names)] }
      : { properties: { [random.pick(names)]: random.chance(0.5) ? {} : { not: { enum: ['x'] } } } }
  return random.pick<() => Schema>([
    () => ({ anyOf: [clause(), clause()] }),
    () => ({ oneOf: [clause(), clause()] }),
    () => ({ allOf: [clause(), { anyOf: [clause()] }] }),
    () => ({ not: clause() }),
    () => ({ anyOf: [] }),
  ])()
}

type Make = (random: Random, depth: number) => Schema

const SCALARS: readonly Make[] = [
  (random) => ({
    type: 'string',
    ...(random.chance(0.2) && { minLength: 0, maxLength: 40 }),
    ...(random.chance(0.2) && { pattern: '^[a-z]*$' }),
    ...(random.chance(0.2) && { enum: ['one', 'two'] }),
    ...(random.chance(0.3) && { default: 'one' }),
  }),
  (random) => ({
    type: 'string',
    format: random.pick(['date-time', 'byte', 'duration', 'ipv4', 'unheard-of']),
  }),
  (random) => ({
    type: 'integer',
    ...(random.chance(0.3) && { format: random.pick(['int32', 'int64']) }),
    ...(random.chance(0.3) && { minimum: 0, exclusiveMinimum: random.chance(0.5) }),
    ...(random.chance(0.3) && { maximum: 10.0, exclusiveMaximum: random.chance(0.5) }),
    ...(random.chance(0.3) && { default: 4 }),
  }),
  (random) => ({
    type: 'number',
    ...(random.chance(0.3) && { multipleOf: 0.5 }),
    ...(random.chance(0.3) && { default: 1.5 }),
  }),
  (random) => ({ type: 'boolean', ...(random.chance(0.5) && { default: random.chance(0.5) }) }),
  (random) => ({
    'x-kubernetes-int-or-string': true,
    ...random.pick<Schema>([
      {},
      {},
      { anyOf: [{ type: 'integer' }, { type: 'string' }] },
      { anyOf: [{ type: 'string' }, { type: 'integer' }] },
      { allOf: [{ anyOf: [{ type: 'integer' }, { type: 'string' }] }, { pattern: '^[0-9]+%?$' }] },
      { anyOf: [{ minimum: 1 }, { maxLength: 4 }] },
      { allOf: [{ maximum: 9 }] },
      { pattern: '^x', default: 'x' },
      { default: 7, format: 'int32' },
    ]),
  }),
  () => ({ 'x-kubernetes-preserve-unknown-fields': true }),
]

const COMPOSITES: readonly Make[] = [
  (random, depth) => ({
    ...randomObject(random, depth),
    // What `properties` forbid may be left out of a default: it is filled in.
    ...(random.chance(0.2) && { default: {} }),
  }),
  (random, depth) => ({
    type: 'object',
    additionalProperties: random.pick<() => unknown>([
      () => true,
      () => false,
      () => randomSchema(random, depth - 1),
      () => randomSchema(random, depth - 1),
    ])(),
    ...(random.chance(0.2) && { required: ['key'] }),
  }),
  (random, depth) => ({
    type: 'array',
    ...(random.chance(0.95) && { items: randomSchema(random, depth - 1) }),
    ...(random.chance(0.3) && { maxItems: 5 }),
    ...(random.chance(0.2) && { default: [] }),
    ...(random.chance(0.2) && { 'x-kubernetes-list-type': 'atomic' }),
  }),
  (random) => ({
    type: 'array',
    'x-kubernetes-list-type': 'set',
    items: { type: random.pick(['string', 'integer']) },
  }),
  (random, depth) => ({
    type: 'array',
    'x-kubernetes-list-type': 'map',
    'x-kubernetes-list-map-keys': ['key'],
    items: {
      type: 'object',
      required: ['key'],
      properties: { key: { type: 'string' }, value: randomSchema(random, depth - 1) },
    },
  }),
  (random, depth) => ({
    ...randomObject(random, depth),
    'x-kubernetes-embedded-resource': true,
    ...(random.chance(0.4) && {
      'x-kubernetes-preserve-unknown-fields': true,
    }),
  }),
]
