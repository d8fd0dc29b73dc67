/** A certificate from the cluster's own signers, by way of a CertificateSigningRequest. */
import { type Client, isApiError, isConflict, resources } from '@caisson/client'

export const SIGNERS = {
  client: { name: 'kubernetes.io/kube-apiserver-client-kubelet', usage: 'client auth' },
  serving: { name: 'kubernetes.io/kubelet-serving', usage: 'server auth' },
} as const

export interface RequestCertificateOptions {
  /** Who asks. */
  client: Client
  signer: keyof typeof SIGNERS
  /** Of the request's name. */
  prefix: string
  /** PEM, as `certificateRequest` makes it. */
  request: string
  /** Approves the request, where that may be done; otherwise it is for somebody else to do. */
  approver?: Client
  /** Told once where it was left to others. */
  onWaiting?(name: string): void
  signal: AbortSignal
}

export type CertificateErrorCode = 'denied' | 'failed'

/** The cluster has said no; `code` is `failed` where its signer could not sign. */
export class CertificateError extends Error {
  override readonly name = 'CertificateError'
  readonly code: CertificateErrorCode
  constructor(code: CertificateErrorCode, message: string) {
    super(message)
    this.code = code
  }
}

type CsrObject = NonNullable<typeof resources.certificateSigningRequests.object>

/** Resolves with the certificate as PEM. Rejects with a CertificateError, an ApiError, or the signal's reason. */
export async function requestCertificate(options: RequestCertificateOptions): Promise<string> {
  const { client, signer, prefix, request, approver, signal } = options
  const { name: signerName, usage } = SIGNERS[signer]
  const made = await client.create(
    resources.certificateSigningRequests,
    {
      metadata: { generateName: `${prefix}-` },
      spec: {
        request: Buffer.from(request).toString('base64'),
        signerName,
        usages: ['digital signature', usage],
      },
    },
    { signal },
  )
  const name = made.metadata.name ?? ''
  const approved = approver !== undefined && (await approve(approver, made, signal))
  if (!approved) options.onWaiting?.(name)
  return await answerOf(client, name, signal)
}

/** False where this user may not. */
async function approve(approver: Client, request: CsrObject, signal: AbortSignal): Promise<boolean> {
  const condition = {
    type: 'Approved',
    status: 'True',
    reason: 'NodeJoined',
    message: 'asked for by caisson node join on behalf of this user',
  }
  try {
    const body = { ...request, status: { ...request.status, conditions: [condition] } }
    await approver.update(resources.certificateSigningRequests, body, { subresource: 'approval', signal })
    return true
  } catch (error) {
    // Somebody was faster: what he wrote is what is waited for.
    if (isConflict(error)) return true
    if (isApiError(error) && error.code === 403) return false
    throw error
  }
}

async function answerOf(client: Client, name: string, signal: AbortSignal): Promise<string> {
  for (;;) {
    signal.throwIfAborted()
    const current = await client.get(resources.certificateSigningRequests, name, { signal })
    const now = certificateOf(current)
    if (now !== undefined) return now
    const changes = client.watch(resources.certificateSigningRequests, {
      fieldSelector: `metadata.name=${name}`,
      ...(current.metadata.resourceVersion !== undefined && { resourceVersion: current.metadata.resourceVersion }),
      signal,
    })
    for await (const event of changes) {
      if (event.type === 'ERROR') break
      if (event.type === 'DELETED')
        throw new CertificateError('denied', `CertificateSigningRequest ${name} was deleted`)
      const found = event.type === 'BOOKMARK' ? undefined : certificateOf(event.object)
      if (found !== undefined) return found
    }
  }
}

/** Undefined while nobody has decided. */
function certificateOf({ metadata, spec, status }: CsrObject): string | undefined {
  if (status?.certificate) return Buffer.from(status.certificate, 'base64').toString('utf8')
  for (const { type, message, reason } of status?.conditions ?? []) {
    const why = `CertificateSigningRequest ${metadata.name} of ${spec.signerName}: ${message || reason || type}`
    if (type === 'Denied') throw new CertificateError('denied', `${why} (denied)`)
    if (type === 'Failed') throw new CertificateError('failed', why)
  }
  return undefined
}
