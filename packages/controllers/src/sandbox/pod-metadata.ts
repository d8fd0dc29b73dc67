/**
 * Labels and annotations of a Sandbox's Pod: those of the template, less what is reserved; those that say whose Pod it
 * is; and a record of which came from the template, so that one that is taken out there is taken out here.
 */
import {
  ANNOTATIONS,
  controllerOf,
  EXTENSIONS_GROUP,
  IDLE,
  isReservedAnnotation,
  isReservedLabel,
  LABELS,
  nameHash,
  normalizeCreatedBy,
  referenceGroup,
  type Sandbox,
} from '@caisson/api'
import type { Pod } from './objects.ts'
import { idleAnnotation } from './plan-idle.ts'
import { stringMapPatch } from './string-map-patch.ts'

/** Labels that say whose the Sandbox is, and that go when it is not any more. */
const EXTENSION_LABELS = [LABELS.claimUid, LABELS.warmPool, LABELS.templateRefHash]

// Written by this controller, so never removed as something that an older one let through from a template.
const CONTROLLER_ANNOTATIONS: ReadonlySet<string> = new Set([
  ANNOTATIONS.propagatedLabels,
  ANNOTATIONS.propagatedAnnotations,
])

/** Metadata of a Pod that is to be created. */
export function newPodMetadata(sandbox: Sandbox): {
  labels: Record<string, string>
  annotations: Record<string, string>
} {
  const template = templateMetadata(sandbox)
  const labels = new Map(template.labels)
  for (const [key, value] of trackingLabels(sandbox)) labels.set(key, value)
  const annotations = new Map(template.annotations)
  if (template.labels.size) annotations.set(ANNOTATIONS.propagatedLabels, keyList(template.labels))
  if (template.annotations.size) annotations.set(ANNOTATIONS.propagatedAnnotations, keyList(template.annotations))
  const idle = idleAnnotation(sandbox)
  if (idle !== undefined) annotations.set(IDLE.afterSeconds, idle)
  return { labels: Object.fromEntries(labels), annotations: Object.fromEntries(annotations) }
}

/** The metadata part of the merge patch that brings an existing Pod up to date; undefined when it is. */
export function podMetadataPatch(
  sandbox: Sandbox,
  pod: Pod,
): { labels?: Record<string, string | null>; annotations?: Record<string, string | null> } | undefined {
  const currentLabels = entriesOf(pod.metadata.labels)
  const currentAnnotations = entriesOf(pod.metadata.annotations)
  const template = templateMetadata(sandbox)

  const labels = new Map(currentLabels)
  for (const key of keysIn(currentAnnotations.get(ANNOTATIONS.propagatedLabels))) {
    if (key !== LABELS.sandboxNameHash) labels.delete(key)
  }
  for (const key of [...EXTENSION_LABELS, LABELS.createdBy]) labels.delete(key)
  for (const [key, value] of [...template.labels, ...trackingLabels(sandbox)]) labels.set(key, value)

  const annotations = new Map(currentAnnotations)
  for (const key of keysIn(currentAnnotations.get(ANNOTATIONS.propagatedAnnotations))) {
    if (!CONTROLLER_ANNOTATIONS.has(key)) annotations.delete(key)
  }
  annotations.delete(IDLE.afterSeconds)
  for (const [key, value] of template.annotations) annotations.set(key, value)
  const idle = idleAnnotation(sandbox)
  if (idle !== undefined) annotations.set(IDLE.afterSeconds, idle)
  setList(annotations, ANNOTATIONS.propagatedLabels, keyList(template.labels))
  setList(annotations, ANNOTATIONS.propagatedAnnotations, keyList(template.annotations))

  const labelPatch = stringMapPatch(currentLabels, labels)
  const annotationPatch = stringMapPatch(currentAnnotations, annotations)
  if (!labelPatch && !annotationPatch) return undefined
  return { ...(labelPatch && { labels: labelPatch }), ...(annotationPatch && { annotations: annotationPatch }) }
}

/** Labels that follow from the Sandbox itself. */
function trackingLabels(sandbox: Sandbox): Map<string, string> {
  const own = entriesOf(sandbox.metadata.labels)
  const labels = new Map([[LABELS.sandboxNameHash, nameHash(sandbox.metadata.name ?? '')] as [string, string]])
  const carry = (key: string) => {
    const value = own.get(key)
    if (value) labels.set(key, value)
  }
  const owner = controllerOf(sandbox)
  // Labels of a Sandbox are its creator's to write. Only what a claim or a pool controls has them on its Pod, where
  // NetworkPolicies and routers trust them.
  if (owner && referenceGroup(owner) === EXTENSIONS_GROUP) {
    if (owner.kind === 'SandboxClaim') carry(LABELS.claimUid)
    if (owner.kind === 'SandboxWarmPool') carry(LABELS.warmPool)
    carry(LABELS.templateRefHash)
  }
  const createdBy = own.get(LABELS.createdBy)
  if (createdBy) labels.set(LABELS.createdBy, normalizeCreatedBy(createdBy))
  return labels
}

function templateMetadata(sandbox: Sandbox): { labels: Map<string, string>; annotations: Map<string, string> } {
  const { labels, annotations } = sandbox.spec.podTemplate.metadata ?? {}
  return { labels: without(labels, isReservedLabel), annotations: without(annotations, isReservedAnnotation) }
}

function without(map: Record<string, string> | undefined, reserved: (key: string) => boolean): Map<string, string> {
  return new Map(Object.entries(map ?? {}).filter(([key]) => !reserved(key)))
}

// Maps, because a template may name a label `constructor` or `__proto__`.
function entriesOf(map: Record<string, string> | undefined): Map<string, string> {
  return new Map(Object.entries(map ?? {}))
}

function keyList(map: ReadonlyMap<string, string>): string {
  return [...map.keys()].sort().join(',')
}

function keysIn(list: string | undefined): string[] {
  return (list ?? '').split(',').filter(Boolean)
}

function setList(annotations: Map<string, string>, key: string, list: string): void {
  if (list || annotations.has(key)) annotations.set(key, list)
}
