/**
 * Signs approved requests for client certificates of this server, as kube-controller-manager does for a cluster whose key
 * it has. Certificates of kubelets' servers are not signed: they would be of the authority that this server's own is of.
 */
import type { KeyObject } from 'node:crypto'
import { type KubeObject, kubernetesTime } from '@caisson/api'
import { createPersist } from '../persist.ts'
import type { SigningRequestObject } from '../registry/builtin/certificate-signing-request.ts'
import type { ResourceKey, Store } from '../storage/store.ts'
import { parseSigningRequest, type SigningRequest } from './signing-request.ts'

const REQUESTS: ResourceKey = 'certificatesigningrequests.certificates.k8s.io'
const CLIENT = 'kubernetes.io/kube-apiserver-client'
const KUBELET_CLIENT = 'kubernetes.io/kube-apiserver-client-kubelet'
const NODE_PREFIX = 'system:node:'
const NODES = 'system:nodes'

export interface SignCertificatesOptions {
  store: Store
  /** PEM; `lifetime` in ms, shorter where the authority ends before. */
  issue(asked: {
    user: { username: string; groups: readonly string[] }
    publicKey: KeyObject
    lifetime?: number
  }): string
  /** ms since the epoch. */
  now(): number
  report(error: unknown): void
}

/** Follows the store, from what it has already. */
export function signCertificates({ store, issue, now, report }: SignCertificatesOptions): Disposable {
  const persist = createPersist({ store, report })

  function look({ metadata: { name = '' } }: KubeObject): void {
    persist.do(name, () => settle(name))
  }

  async function settle(name: string): Promise<void> {
    const request = store.get(REQUESTS, undefined, name) as SigningRequestObject | undefined
    if (!request || !isDue(request)) return
    const status = await answer(request)
    await store.write((transaction) => {
      const current = transaction.get(REQUESTS, undefined, name) as SigningRequestObject | undefined
      if (!current || current.metadata.uid !== request.metadata.uid || !isDue(current)) return
      const { conditions = [], ...rest } = current.status ?? {}
      const next = { ...rest, ...status, conditions: [...conditions, ...(status.conditions ?? [])] }
      transaction.put(REQUESTS, { ...current, metadata: { ...current.metadata }, status: next })
    })
  }

  async function answer({ spec }: SigningRequestObject): Promise<NonNullable<SigningRequestObject['status']>> {
    let asked: SigningRequest
    try {
      asked = parseSigningRequest(Buffer.from(spec.request, 'base64').toString('latin1'))
      checkAsked(asked, spec)
    } catch (error) {
      const time = kubernetesTime(now())
      const { message } = error as Error
      const times = { lastUpdateTime: time, lastTransitionTime: time }
      return { conditions: [{ type: 'Failed', status: 'True', reason: 'SignerValidationFailure', message, ...times }] }
    }
    const certificate = issue({
      user: { username: asked.commonName, groups: asked.organizations },
      publicKey: asked.publicKey,
      ...(spec.expirationSeconds !== undefined && { lifetime: spec.expirationSeconds * 1000 }),
    })
    return { certificate: Buffer.from(certificate).toString('base64') }
  }

  const subscription = store.subscribe(REQUESTS, store.revision, ({ type, object }) => {
    if (type !== 'DELETED') look(object)
  })
  for (const object of store.list(REQUESTS)) look(object)
  return {
    [Symbol.dispose]() {
      persist[Symbol.dispose]()
      subscription?.[Symbol.dispose]()
    },
  }
}

function isDue({ spec, status }: SigningRequestObject): boolean {
  if (status?.certificate || (spec.signerName !== CLIENT && spec.signerName !== KUBELET_CLIENT)) return false
  const types = new Set((status?.conditions ?? []).map(({ type }) => type))
  return types.has('Approved') && !types.has('Denied') && !types.has('Failed')
}

/** Throws where the signer does not sign it: what a certificate does not say is not left out of it in silence. */
function checkAsked(asked: SigningRequest, { signerName, usages = [] }: SigningRequestObject['spec']): void {
  const known = ['client auth', 'digital signature', 'key encipherment']
  const other = usages.find((usage) => !known.includes(usage))
  if (other !== undefined) throw new Error(`invalid usage for client certificate: ${other}`)
  if (!usages.includes('client auth')) throw new Error('missing required usage for client certificate: client auth')
  if (asked.commonName === '') throw new Error('subject common name is required: it is the name of the user')
  if (asked.otherAttributes.length > 0)
    throw new Error('subject attributes other than common name and organization are not signed')
  const [kind] = asked.alternativeNames
  if (kind !== undefined) throw new Error(`${kind} subjectAltNames are not allowed`)
  if (signerName !== KUBELET_CLIENT) return
  if (asked.organizations.length !== 1 || asked.organizations[0] !== NODES)
    throw new Error(`subject organization is not ${NODES}`)
  if (!asked.commonName.startsWith(NODE_PREFIX))
    throw new Error(`subject common name does not begin with ${NODE_PREFIX}`)
}
