import { z } from 'zod'
import type { IntOrPercent } from '../int-or-percent.ts'
import type { CoreType } from './core-schema.ts'
import type { StructuralSchema } from './structural-schema.ts'

/** Keys that a CustomResourceDefinition's schema may have; everything else that zod says is left out. */
const KEPT = new Set([
  'type',
  'format',
  'description',
  'default',
  'enum',
  'properties',
  'required',
  'additionalProperties',
  'items',
  'pattern',
  'minimum',
  'maximum',
  'minLength',
  'maxLength',
  'maxItems',
  'x-kubernetes-list-type',
  'x-kubernetes-list-map-keys',
  'x-kubernetes-map-type',
  'x-kubernetes-preserve-unknown-fields',
  'x-kubernetes-validations',
])

/** A field that holds a core Kubernetes type: any object for zod, a `$ref` to its name in the structural schema. */
export function coreType<T extends object>(type: CoreType): z.ZodType<T, T> {
  return z
    .custom<T>((value) => typeof value === 'object' && value !== null && !Array.isArray(value))
    .meta({
      'x-caisson-core-type': type,
    })
}

/** A whole number or a percentage, as Kubernetes' rolling updates take them. */
export function intOrPercent(): z.ZodType<IntOrPercent, IntOrPercent> {
  return z
    .custom<IntOrPercent>((value) => typeof value === 'number' || typeof value === 'string')
    .meta({ 'x-caisson-core-type': 'IntOrString', pattern: '^([0-9]+|[0-9]{1,2}%|100%)$' })
}

/** An integer of a given width; zod's own bounds would end up in the schema as a minimum and a maximum. */
export function integer(format: 'int32' | 'int64'): z.ZodNumber {
  return z.number().meta({ type: 'integer', format })
}

/** A moment as Kubernetes writes it (RFC 3339). */
export function dateTime(): z.ZodString {
  return z.string().meta({ format: 'date-time' })
}

/**
 * The structural schema of a zod schema. What zod cannot say is given by `.meta()`: `format`, `description`, and the
 * `x-kubernetes-*` keys.
 */
export function toStructural(schema: z.ZodType): StructuralSchema {
  return clean(
    z.toJSONSchema(schema, { target: 'openapi-3.0', io: 'input', unrepresentable: 'any' }),
  ) as StructuralSchema
}

function clean(given: object): object {
  const { 'x-caisson-core-type': core, ...schema } = given as Record<string, unknown>
  const kept: Record<string, unknown> = {}
  for (const [key, value] of Object.entries(schema)) {
    if (!KEPT.has(key)) continue
    if (key === 'properties') {
      kept[key] = Object.fromEntries(
        Object.entries(value as object).map(([name, child]) => [name, clean(child as object)]),
      )
    } else if (key === 'items' || key === 'additionalProperties') {
      if (typeof value === 'object') kept[key] = clean(value as object)
    } else {
      kept[key] = value
    }
  }
  return core ? { ...kept, $ref: core } : kept
}
