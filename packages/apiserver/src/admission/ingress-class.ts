/** The class of Ingresses that name none. */
import type { KubeObject } from '@caisson/api'
import type { Store } from '../storage/store.ts'
import type { AdmissionRequest } from '../verbs/call.ts'

const CLASSES = 'ingressclasses.networking.k8s.io'
const CLASS_ANNOTATION = 'kubernetes.io/ingress.class'
const IS_DEFAULT = 'ingressclass.kubernetes.io/is-default-class'

/** Gives a new Ingress that names no class, in either way, the newest of those that are marked as default. */
export function applyDefaultIngressClass({ object: ingress }: AdmissionRequest, store: Pick<Store, 'list'>): void {
  const spec = ingress?.spec as { ingressClassName?: string } | undefined
  if (!ingress || !spec || spec.ingressClassName !== undefined) return
  if (ingress.metadata.annotations?.[CLASS_ANNOTATION] !== undefined) return
  const [found] = [...store.list(CLASSES)]
    .filter(({ metadata }) => metadata.annotations?.[IS_DEFAULT] === 'true')
    .sort((a, b) => ageOf(b) - ageOf(a) || ((a.metadata.name ?? '') < (b.metadata.name ?? '') ? -1 : 1))
  if (found?.metadata.name) spec.ingressClassName = found.metadata.name
}

function ageOf({ metadata }: KubeObject): number {
  return Date.parse(metadata.creationTimestamp ?? '') || 0
}
