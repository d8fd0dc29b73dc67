/** Claims and volumes: their default class, their protection while in use, and when they may grow. */
import type { KubeObject } from '@caisson/api'
import { compareQuantities } from '../registry/quantity.ts'
import type { Store } from '../storage/store.ts'
import type { AdmissionRequest } from '../verbs/call.ts'
import { refuse } from './refuse.ts'

const STORAGE_CLASSES = 'storageclasses.storage.k8s.io'
const CLASS_ANNOTATION = 'volume.beta.kubernetes.io/storage-class'
const IS_DEFAULT = ['storageclass.kubernetes.io/is-default-class', 'storageclass.beta.kubernetes.io/is-default-class']

interface ClaimSpec {
  storageClassName?: string | null
  resources?: { requests?: Record<string, string> }
}

/** Gives a new claim that names no class the default one. An empty name is a choice: no class at all. */
export function applyDefaultStorageClass(request: AdmissionRequest, store: Pick<Store, 'list'>): void {
  const { object: claim } = request
  if (!claim || classOf(claim) !== undefined) return
  const found = defaultStorageClass(store)
  if (found) claim.spec = { ...(claim.spec as ClaimSpec), storageClassName: found.metadata.name }
}

/** The newest of the classes that are marked as default; the first by name among equals. */
function defaultStorageClass(store: Pick<Store, 'list'>): KubeObject | undefined {
  const marked = [...store.list(STORAGE_CLASSES)].filter(({ metadata }) =>
    IS_DEFAULT.some((annotation) => metadata.annotations?.[annotation] === 'true'),
  )
  const age = ({ metadata }: KubeObject) => Date.parse(metadata.creationTimestamp ?? '') || 0
  return marked.sort((a, b) => age(b) - age(a) || ((a.metadata.name ?? '') < (b.metadata.name ?? '') ? -1 : 1))[0]
}

/** Keeps claims that a Pod uses, and volumes that are bound, from vanishing under them. */
export function protectWhileInUse({ object }: AdmissionRequest, finalizer: string): void {
  if (!object || object.metadata.finalizers?.includes(finalizer)) return
  object.metadata.finalizers = [...(object.metadata.finalizers ?? []), finalizer]
}

/** A claim may ask for more only where its class allows that. */
export function validateClaimResize(request: AdmissionRequest, store: Pick<Store, 'get'>): void {
  const { object: claim, oldObject } = request
  if (!claim || !oldObject || !grows(sizeOf(oldObject), sizeOf(claim))) return
  const { phase } = (oldObject.status as { phase?: string } | undefined) ?? {}
  if (phase !== 'Bound') throw refuse(request, 'Only bound persistent volume claims can be expanded')
  const name = classOf(claim)
  const found = name && classOf(oldObject) === name ? store.get(STORAGE_CLASSES, undefined, name) : undefined
  if (found?.allowVolumeExpansion === true) return
  throw refuse(
    request,
    'only dynamically provisioned pvc can be resized and the storageclass that provisions the pvc must support resize',
  )
}

function classOf(claim: KubeObject): string | undefined {
  const { storageClassName } = (claim.spec as ClaimSpec | undefined) ?? {}
  return claim.metadata.annotations?.[CLASS_ANNOTATION] ?? storageClassName ?? undefined
}

function sizeOf(claim: KubeObject): string {
  return (claim.spec as ClaimSpec | undefined)?.resources?.requests?.storage ?? '0'
}

function grows(before: string, after: string): boolean {
  try {
    return compareQuantities(after, before) > 0
  } catch {
    // What is no quantity is validation's to refuse.
    return false
  }
}
