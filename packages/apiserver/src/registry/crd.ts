/** CustomResourceDefinitions as their validated objects read. */
import type { Condition, KubeObject } from '@caisson/api'
import type { ClientConfig } from '../admission/webhooks/webhook-client.ts'
import type { Schema } from '../schema/schema.ts'

export interface CrdNames {
  plural: string
  kind: string
  singular?: string
  listKind?: string
  shortNames?: string[]
  categories?: string[]
}

export interface CrdColumn {
  name: string
  type: 'string' | 'integer' | 'number' | 'boolean' | 'date'
  jsonPath: string
  format?: string
  description?: string
  priority?: number
}

export interface CrdScale {
  specReplicasPath: string
  statusReplicasPath: string
  labelSelectorPath?: string
}

export interface CrdVersion {
  name: string
  served: boolean
  storage: boolean
  deprecated?: boolean
  deprecationWarning?: string
  schema?: { openAPIV3Schema?: CrdSchema }
  subresources?: { status?: object; scale?: CrdScale }
  additionalPrinterColumns?: CrdColumn[]
  selectableFields?: Array<{ jsonPath: string }>
}

/** A schema as it may be written; what Schema lacks is refused by validation. */
export interface CrdSchema extends Schema {
  id?: string
  $schema?: string
  additionalItems?: unknown
  definitions?: Record<string, CrdSchema>
  dependencies?: Record<string, unknown>
  patternProperties?: Record<string, CrdSchema>
  externalDocs?: unknown
  example?: unknown
}

export interface CrdSpec {
  group: string
  scope: 'Namespaced' | 'Cluster'
  names: CrdNames
  versions: CrdVersion[]
  conversion?: { strategy: string; webhook?: { clientConfig?: ClientConfig; conversionReviewVersions?: string[] } }
  preserveUnknownFields?: boolean
}

export interface CrdStatus {
  conditions?: CrdCondition[]
  acceptedNames?: CrdNames
  storedVersions?: string[]
}

/** CRDs' conditions have no observedGeneration, and reason and message may be missing. */
export type CrdCondition = Pick<Condition, 'type' | 'status'> & {
  lastTransitionTime?: string
  reason?: string
  message?: string
}

export function specOf(crd: KubeObject): CrdSpec {
  return crd['spec'] as CrdSpec
}

export function statusOf(crd: KubeObject): CrdStatus {
  return (crd['status'] ?? {}) as CrdStatus
}

/** The names that are served: those that did not conflict when they were asked for. */
export function acceptedNamesOf(crd: KubeObject): CrdNames {
  const accepted = statusOf(crd).acceptedNames
  return accepted?.kind ? accepted : specOf(crd).names
}

export function conditionOf(crd: KubeObject, type: string): CrdCondition | undefined {
  return statusOf(crd).conditions?.find((condition) => condition.type === type)
}

export function isEstablished(crd: KubeObject): boolean {
  return conditionOf(crd, 'Established')?.status === 'True'
}
