/** Claims: `ttl` and `sandboxTemplateRef`, there and back. */
import { isDeepStrictEqual } from 'node:util'
import type { SandboxClaimSpec } from '../claim/claim.ts'
import { kubernetesTime } from '../condition.ts'
import type { FlatClaim, FlatClaimSpec } from './flat.ts'
import { formatGoSeconds, wholeSeconds } from './go-duration.ts'
import { given, isProblem, type Translation } from './translation.ts'

type Lifecycle = NonNullable<SandboxClaimSpec['lifecycle']>
/** From a server: it has a creationTimestamp. */
export type StoredFlatClaim = Pick<FlatClaim, 'metadata' | 'spec'>

export function translateClaim(claim: StoredFlatClaim): Translation<SandboxClaimSpec> {
  const { ttl, sandboxTemplateRef, templateRef, lifecycle, ...spec } = claim.spec
  if (ttl !== undefined && lifecycle)
    return { problem: 'spec.ttl and spec.lifecycle both say when the claim ends: give one of them' }
  if (templateRef && sandboxTemplateRef)
    return { problem: 'spec.sandboxTemplateRef and spec.templateRef mean the same: give one of them' }
  const end = ttl === undefined ? lifecycle : lifecycleOf(ttl, createdAt(claim))
  if (typeof end === 'string') return { problem: `spec.ttl: ${end}` }
  return {
    canonical: { ...spec, ...given('templateRef', templateRef ?? sandboxTemplateRef), ...given('lifecycle', end) },
    ignored: [],
  }
}

/** The flat claim's own words for a canonical spec: `translateClaim` of the result is that spec again. */
export function returnClaim(claim: StoredFlatClaim, canonical: SandboxClaimSpec): FlatClaimSpec {
  const current = translateClaim(claim)
  if (!isProblem(current) && isDeepStrictEqual(current.canonical, canonical)) return claim.spec
  const { templateRef, lifecycle, ...spec } = canonical
  const templateWord = claim.spec.sandboxTemplateRef ? 'sandboxTemplateRef' : 'templateRef'
  const ttl = claim.spec.ttl === undefined ? undefined : ttlOf(claim.spec.ttl, lifecycle, createdAt(claim))
  return {
    ...spec,
    ...given(templateWord, templateRef),
    ...(ttl === undefined ? given('lifecycle', lifecycle) : { ttl }),
  }
}

function lifecycleOf(ttl: string, createdAt: number): Lifecycle | string {
  const seconds = wholeSeconds(ttl)
  if (typeof seconds === 'string') return seconds
  const at = createdAt + seconds * 1000
  if (at > LATEST) return `expected an end before the year 10000, found ${JSON.stringify(ttl)}`
  return { shutdownTime: kubernetesTime(at), shutdownPolicy: 'Delete' }
}

/** Of the times that Kubernetes can write. */
const LATEST = Date.UTC(9999, 11, 31, 23, 59, 59)

/** The ttl that means this; undefined where none does. */
function ttlOf(before: string, lifecycle: Lifecycle | undefined, createdAt: number): string | undefined {
  if (isDeepStrictEqual(lifecycleOf(before, createdAt), lifecycle)) return before
  const seconds = (Date.parse(lifecycle?.shutdownTime ?? '') - createdAt) / 1000
  if (!Number.isInteger(seconds) || seconds < 0) return undefined
  const ttl = formatGoSeconds(seconds)
  return isDeepStrictEqual(lifecycleOf(ttl, createdAt), lifecycle) ? ttl : undefined
}

function createdAt({ metadata }: StoredFlatClaim): number {
  return Date.parse(metadata.creationTimestamp ?? '')
}
