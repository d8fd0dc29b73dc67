/** Every Pod runs as a ServiceAccount of its namespace, and is given its token unless it asks not to be. */
import type { KubeObject } from '@caisson/api'
import type { Volume, VolumeMount } from 'kubernetes-types/core/v1.js'
import type { Store } from '../storage/store.ts'
import type { AdmissionRequest } from '../verbs/call.ts'
import { derivedName } from '../verbs/metadata.ts'
import { type Container, list, type PodSpec, specOf } from './pod-shape.ts'
import { refuse } from './refuse.ts'

const DEFAULT = 'default'
const VOLUME_PREFIX = 'kube-api-access-'
const MOUNT_PATH = '/var/run/secrets/kubernetes.io/serviceaccount'
const MIRROR_POD = 'kubernetes.io/config.mirror'
const ENFORCE_MOUNTABLE = 'kubernetes.io/enforce-mountable-secrets'
// An hour and seven seconds: by that odd number Kubernetes' tools know a token that was mounted by default.
const TOKEN_SECONDS = 3607

interface ServiceAccount {
  name: string
  automount: boolean | undefined
  imagePullSecrets: readonly { name?: string }[]
  /** The only Secrets that its Pods may refer to; undefined where there is no such limit. */
  mountable: ReadonlySet<string> | undefined
}

/** Gives a new Pod its account, the account's token and its image pull secrets. */
export function applyServiceAccount(request: AdmissionRequest, store: Pick<Store, 'get'>): void {
  const { object: pod } = request
  if (!pod || request.subresource !== '' || request.operation !== 'CREATE') return
  if (isMirror(pod)) return
  const spec = specOf(pod) as PodSpec & { serviceAccountName?: string; serviceAccount?: string }
  // The older name of the field is kept equal to the newer one.
  spec.serviceAccountName = spec.serviceAccountName || spec.serviceAccount || DEFAULT
  spec.serviceAccount = spec.serviceAccountName
  const account = findAccount(request, spec.serviceAccountName, store)
  if (spec.automountServiceAccountToken ?? account.automount ?? true) mountToken(pod, spec)
  if (list(spec.imagePullSecrets).length === 0 && account.imagePullSecrets.length > 0) {
    spec.imagePullSecrets = account.imagePullSecrets.map(({ name = '' }) => ({ name }))
  }
}

/** Refuses a Pod without an account, or one that refers to Secrets which its account does not list where it has to. */
export function validateServiceAccount(request: AdmissionRequest, store: Pick<Store, 'get'>): void {
  const { object: pod, operation, subresource } = request
  if (!pod) return
  const spec = specOf(pod)
  if (operation === 'UPDATE' && subresource === 'ephemeralcontainers') {
    const account = findAccount(request, spec.serviceAccountName || DEFAULT, store)
    refuseSecrets(request, account, [['ephemeral container', list(spec.ephemeralContainers)]])
    return
  }
  if (operation !== 'CREATE' || subresource !== '') return
  if (isMirror(pod)) return refuseMirror(request, spec)
  const account = findAccount(request, spec.serviceAccountName || DEFAULT, store)
  for (const { secret } of list(spec.volumes)) {
    const name = secret?.secretName ?? ''
    if (secret && account.mountable && !account.mountable.has(name)) {
      throw refuse(
        request,
        `volume with secret.secretName="${name}" is not allowed because service account ${account.name} does not reference that secret`,
      )
    }
  }
  refuseSecrets(request, account, [
    ['init container', list(spec.initContainers)],
    ['container', list(spec.containers)],
  ])
  refusePullSecrets(request, account, spec)
}

function findAccount(request: AdmissionRequest, name: string, store: Pick<Store, 'get'>): ServiceAccount {
  const { namespace } = request
  const found = store.get('serviceaccounts', namespace, name)
  if (!found) {
    // The controller makes it right after the namespace. Kubernetes waits for it up to two seconds; a write transaction
    // cannot wait, and there is nothing to learn from an account that will have no settings.
    if (name === DEFAULT) return { name, automount: undefined, imagePullSecrets: [], mountable: undefined }
    throw refuse(request, `error looking up service account ${namespace}/${name}: serviceaccount "${name}" not found`)
  }
  const { automountServiceAccountToken, imagePullSecrets, secrets } = found as KubeObject & {
    automountServiceAccountToken?: boolean
    imagePullSecrets?: { name?: string }[]
    secrets?: { name?: string }[]
  }
  const limited = /^(1|t|T|true|TRUE|True)$/.test(found.metadata.annotations?.[ENFORCE_MOUNTABLE] ?? '')
  return {
    name,
    automount: automountServiceAccountToken ?? undefined,
    imagePullSecrets: list(imagePullSecrets),
    mountable: limited ? new Set(list(secrets).map((secret) => secret.name ?? '')) : undefined,
  }
}

function mountToken({ metadata }: KubeObject, spec: PodSpec): void {
  const volumes = list(spec.volumes)
  const existing = volumes.find(({ name }) => name?.startsWith(VOLUME_PREFIX))?.name
  // The same each time that webhooks are asked about the Pod: they judge what they were shown, and nothing else.
  const name = existing ?? derivedName(VOLUME_PREFIX, metadata.uid ?? '')
  const mount: VolumeMount = { name, readOnly: true, mountPath: MOUNT_PATH }
  let needed = false
  for (const container of [...list(spec.initContainers), ...list(spec.containers)]) {
    const mounts = list(container.volumeMounts)
    // Something else at that path is the Pod's own way to keep the token out.
    if (mounts.some(({ mountPath }) => mountPath === MOUNT_PATH)) continue
    container.volumeMounts = [...mounts, { ...mount }]
    needed = true
  }
  if (needed && existing === undefined) spec.volumes = [...volumes, tokenVolume(name)]
}

function tokenVolume(name: string): Volume {
  const namespace = { apiVersion: 'v1', fieldPath: 'metadata.namespace' }
  return {
    name,
    projected: {
      defaultMode: 0o644,
      sources: [
        { serviceAccountToken: { expirationSeconds: TOKEN_SECONDS, path: 'token' } },
        { configMap: { name: 'kube-root-ca.crt', items: [{ key: 'ca.crt', path: 'ca.crt' }] } },
        { downwardAPI: { items: [{ path: 'namespace', fieldRef: namespace }] } },
      ],
    },
  }
}

function refuseSecrets(
  request: AdmissionRequest,
  { name, mountable }: ServiceAccount,
  containers: readonly [kind: string, containers: readonly Container[]][],
): void {
  if (!mountable) return
  const tail = `is not allowed because service account ${name} does not reference that secret`
  for (const [kind, some] of containers) {
    for (const container of some) {
      for (const { name: variable, valueFrom } of list(container.env)) {
        const secret = valueFrom?.secretKeyRef
        if (!secret || mountable.has(secret.name ?? '')) continue
        const what = `with envVar ${variable} referencing secret.secretName="${secret.name ?? ''}"`
        throw refuse(request, `${kind} ${container.name} ${what} ${tail}`)
      }
      for (const { secretRef } of list(container.envFrom)) {
        if (!secretRef || mountable.has(secretRef.name ?? '')) continue
        const what = `with envFrom referencing secret.secretName="${secretRef.name ?? ''}"`
        throw refuse(request, `${kind} ${container.name} ${what} ${tail}`)
      }
    }
  }
}

function refusePullSecrets(request: AdmissionRequest, account: ServiceAccount, spec: PodSpec): void {
  if (!account.mountable) return
  const allowed = new Set(account.imagePullSecrets.map(({ name }) => name))
  for (const [index, { name }] of list(spec.imagePullSecrets).entries()) {
    if (allowed.has(name)) continue
    throw refuse(
      request,
      `imagePullSecrets[${index}].name="${name ?? ''}" is not allowed because service account ${account.name} does not reference that imagePullSecret`,
    )
  }
}

export function isMirror(pod: KubeObject): boolean {
  return Object.hasOwn(pod.metadata.annotations ?? {}, MIRROR_POD)
}

/** A mirror shows what a node runs by itself: it gets nothing from the API. */
function refuseMirror(request: AdmissionRequest, spec: PodSpec): void {
  if (spec.serviceAccountName) throw refuse(request, 'a mirror pod may not reference service accounts')
  const containers = [...list(spec.initContainers), ...list(spec.containers)]
  const secrets =
    list(spec.imagePullSecrets).length > 0 ||
    list(spec.volumes).some(
      ({ secret, projected }) => secret || list(projected?.sources).some((source) => source.secret),
    ) ||
    containers.some(
      ({ env, envFrom }) =>
        list(env).some(({ valueFrom }) => valueFrom?.secretKeyRef) || list(envFrom).some(({ secretRef }) => secretRef),
    )
  if (secrets) throw refuse(request, 'a mirror pod may not reference secrets')
  const tokens = list(spec.volumes).some(({ projected }) =>
    list(projected?.sources).some(({ serviceAccountToken }) => serviceAccountToken),
  )
  if (tokens) throw refuse(request, 'a mirror pod may not use ServiceAccountToken volume projections')
}
