import { generatedSchema } from '../schema/generated-schema.ts'
import type { StructuralSchema } from '../schema/structural-schema.ts'

/** What is read of a PodSpec besides handing it on. */
const CONTAINERS: StructuralSchema = {
  type: 'array',
  items: {
    type: 'object',
    properties: { ports: { type: 'array', nullable: true, items: { type: 'object' } } },
  },
}
const READABLE: StructuralSchema = {
  type: 'object',
  properties: {
    podTemplate: {
      type: 'object',
      properties: {
        spec: {
          type: 'object',
          required: ['containers'],
          properties: {
            containers: CONTAINERS,
            initContainers: { ...CONTAINERS, nullable: true },
            volumes: {
              type: 'array',
              nullable: true,
              items: { type: 'object', required: ['name'], properties: { name: { type: 'string' } } },
            },
          },
        },
      },
    },
  },
}

const known = new WeakMap<object, { problem: string | undefined }>()

/**
 * What makes a stored spec unusable, as one sentence with the field's path; undefined for a good one. With our own
 * CustomResourceDefinition in place nothing does: this is for others that validate less.
 */
export function sandboxSpecProblem(spec: unknown): string | undefined {
  if (typeof spec !== 'object' || spec === null) return 'spec: Required value'
  // Objects from a cache are frozen and looked at many times.
  let answer = known.get(spec)
  if (!answer) {
    answer = {
      problem: findProblem(generatedSchema('sandbox').spec, spec, 'spec') ?? findProblem(READABLE, spec, 'spec'),
    }
    if (Object.isFrozen(spec)) known.set(spec, answer)
  }
  return answer.problem
}

/** As far as the schemas above need it; core types are taken for any object. */
function findProblem(schema: StructuralSchema, value: unknown, path: string): string | undefined {
  if (value === null && schema.nullable) return undefined
  const type = schema.$ref === undefined ? schema.type : 'object'
  if (type !== undefined && !isOfType(type, value))
    return `${path}: Invalid value: must be of type ${type}, is ${typeName(value)}`
  if (schema.enum && !schema.enum.includes(value))
    return `${path}: Unsupported value: ${JSON.stringify(value)}: supported values: ${schema.enum.map((one) => JSON.stringify(one)).join(', ')}`
  if (typeof value === 'number') {
    if (schema.minimum !== undefined && value < schema.minimum)
      return `${path}: Invalid value: ${value}: must be at least ${schema.minimum}`
    if (schema.maximum !== undefined && value > schema.maximum)
      return `${path}: Invalid value: ${value}: must be at most ${schema.maximum}`
  }
  return findProblemInside(schema, value, path)
}

function findProblemInside(schema: StructuralSchema, value: unknown, path: string): string | undefined {
  if (Array.isArray(value)) {
    const { items } = schema
    return items && firstProblem(value.map((item, index) => () => findProblem(items, item, `${path}[${index}]`)))
  }
  if (typeof value !== 'object' || value === null) return undefined
  const object = value as Readonly<Record<string, unknown>>
  const missing = schema.required?.find((name) => !Object.hasOwn(object, name))
  if (missing !== undefined) return `${path}.${missing}: Required value`
  const schemaOf = (name: string): StructuralSchema | undefined =>
    schema.properties && Object.hasOwn(schema.properties, name) ? schema.properties[name] : schema.additionalProperties
  return firstProblem(
    Object.keys(object).map((name) => () => {
      const inside = schemaOf(name)
      return inside && findProblem(inside, object[name], `${path}.${name}`)
    }),
  )
}

function firstProblem(checks: ReadonlyArray<() => string | undefined>): string | undefined {
  for (const check of checks) {
    const problem = check()
    if (problem !== undefined) return problem
  }
  return undefined
}

function isOfType(type: NonNullable<StructuralSchema['type']>, value: unknown): boolean {
  if (type === 'integer') return Number.isInteger(value)
  return typeName(value) === type
}

function typeName(value: unknown): string {
  if (value === null) return 'null'
  return Array.isArray(value) ? 'array' : typeof value
}
