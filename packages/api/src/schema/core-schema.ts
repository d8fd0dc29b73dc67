import { readFileSync } from 'node:fs'
import type { StructuralSchema } from './structural-schema.ts'

/** Types of Kubernetes' own API that our kinds embed, by the names under which generated schemas refer to them. */
const CORE_TYPES = {
  PodSpec: 'io.k8s.api.core.v1.PodSpec',
  PersistentVolumeClaimSpec: 'io.k8s.api.core.v1.PersistentVolumeClaimSpec',
  SecretKeySelector: 'io.k8s.api.core.v1.SecretKeySelector',
  ConfigMapKeySelector: 'io.k8s.api.core.v1.ConfigMapKeySelector',
  NetworkPolicyEgressRule: 'io.k8s.api.networking.v1.NetworkPolicyEgressRule',
  NetworkPolicyIngressRule: 'io.k8s.api.networking.v1.NetworkPolicyIngressRule',
  LabelSelector: 'io.k8s.apimachinery.pkg.apis.meta.v1.LabelSelector',
  IntOrString: 'io.k8s.apimachinery.pkg.util.intstr.IntOrString',
} as const

export type CoreType = keyof typeof CORE_TYPES

let definitions: Record<string, StructuralSchema> | undefined
const inlined = new Map<string, StructuralSchema>()

/**
 * The structural schema of a core type, every reference inlined. Read from the generated file on first use; calls for
 * the same type give the same frozen object, so that a CRD of two versions does not hold it twice.
 */
export function coreSchema(type: CoreType): StructuralSchema {
  return definition(CORE_TYPES[type])
}

/** The same schema with each reference to a core type replaced by that type's schema. */
export function withCoreTypes(schema: StructuralSchema): StructuralSchema {
  const { $ref, ...own } = schema
  const entries = Object.entries(own).map(([key, value]) => {
    if (key === 'items' || key === 'additionalProperties') return [key, withCoreTypes(value as StructuralSchema)]
    if (key !== 'properties') return [key, value]
    const properties = Object.entries(value as Record<string, StructuralSchema>)
    return [key, Object.fromEntries(properties.map(([name, child]) => [name, withCoreTypes(child)]))]
  })
  return { ...Object.fromEntries(entries), ...($ref !== undefined && coreSchema($ref as CoreType)) }
}

function definition(name: string): StructuralSchema {
  const done = inlined.get(name)
  if (done) return done
  // Not an import: most processes never need it.
  definitions ??= JSON.parse(
    readFileSync(new URL('../generated/core-schemas.json', import.meta.url), 'utf8'),
  ) as Record<string, StructuralSchema>
  const raw = definitions[name]
  if (!raw) throw new Error(`generated/core-schemas.json has no ${name}`)
  const schema = inline(raw) as StructuralSchema
  inlined.set(name, schema)
  return schema
}

function inline(value: unknown): unknown {
  if (Array.isArray(value)) return Object.freeze(value.map(inline))
  if (typeof value !== 'object' || value === null) return value
  const { $ref, ...rest } = value as Record<string, unknown>
  const entries = Object.entries(rest).map(([key, child]) => [key, inline(child)])
  const own = Object.fromEntries(entries) as Record<string, unknown>
  if (typeof $ref !== 'string') return Object.freeze(own)
  // What stands beside a reference (a default) overrides the type's own.
  return entries.length ? Object.freeze({ ...definition($ref), ...own }) : definition($ref)
}
