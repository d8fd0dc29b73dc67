/** Pools: `minSize`, `maxSize`, `idleTimeout`, `templateRef` and the inline `template`, there and back. */
import { isDeepStrictEqual } from 'node:util'
import type { SandboxWarmPoolSpec } from '../pool/pool.ts'
import type { SandboxTemplateSpec } from '../template/template.ts'
import type { FlatPool, FlatPoolSpec } from './flat.ts'
import { formatGoSeconds, wholeSeconds } from './go-duration.ts'
import { inlineTemplate, returnInlineTemplate, withoutDefaults } from './inline-template.ts'
import { given, isProblem, type Translation } from './translation.ts'

/** A pool, and its template where the flat pool has it inline. */
export interface CanonicalPool {
  pool: SandboxWarmPoolSpec
  template: SandboxTemplateSpec | undefined
}

export type StoredFlatPool = Pick<FlatPool, 'metadata' | 'spec'>

/** Which of two words for the same a flat pool uses. */
const WORDS = [
  ['minSize', 'minReplicas'],
  ['maxSize', 'maxReplicas'],
] as const

export function translatePool({ metadata, spec }: StoredFlatPool): Translation<CanonicalPool> {
  const { minSize, maxSize, idleTimeout, templateRef, template, sandboxTemplateRef, ...rest } = spec
  const said = doubled(spec)
  if (said) return { problem: said }
  const sources = [sandboxTemplateRef, templateRef, template].filter((source) => source !== undefined)
  if (sources.length !== 1)
    return { problem: 'exactly one of spec.sandboxTemplateRef, spec.templateRef and spec.template must be given' }
  const inline = template && inlineTemplate(template)
  if (typeof inline === 'string') return { problem: `spec.template: ${inline}` }
  const idle = idleTimeout === undefined ? rest.idleTimeoutSeconds : positiveSeconds(idleTimeout)
  if (typeof idle === 'string') return { problem: `spec.idleTimeout: ${idle}` }
  const pool: SandboxWarmPoolSpec = {
    ...rest,
    sandboxTemplateRef: sandboxTemplateRef ?? templateRef ?? { name: metadata.name ?? '' },
    ...given('minReplicas', minSize ?? rest.minReplicas),
    ...given('maxReplicas', maxSize ?? rest.maxReplicas),
    ...given('idleTimeoutSeconds', idle),
  }
  return { canonical: { pool, template: inline }, ignored: withoutEffect(pool) }
}

/** The flat pool's own words for a canonical pool: `translatePool` of the result is that pool again. */
export function returnPool(flat: StoredFlatPool, { pool, template }: CanonicalPool): FlatPoolSpec {
  const wanted = { pool, template: template && withoutDefaults(template) }
  const current = translatePool(flat)
  if (!isProblem(current) && isDeepStrictEqual(current.canonical, wanted)) return flat.spec
  const { sandboxTemplateRef, replicas, minReplicas, maxReplicas, idleTimeoutSeconds, ...rest } = pool
  const { spec } = flat
  const isInline = wanted.template && sandboxTemplateRef.name === flat.metadata.name
  const idle = spec.idleTimeout === undefined ? undefined : timeoutOf(spec.idleTimeout, idleTimeoutSeconds)
  return {
    ...rest,
    ...given('replicas', replicas),
    ...(isInline && wanted.template
      ? { template: returnInlineTemplate(spec.template ?? {}, wanted.template) }
      : { [spec.templateRef ? 'templateRef' : 'sandboxTemplateRef']: sandboxTemplateRef }),
    ...given(spec.minSize === undefined ? 'minReplicas' : 'minSize', minReplicas),
    ...given(spec.maxSize === undefined ? 'maxReplicas' : 'maxSize', maxReplicas),
    ...(idle === undefined ? given('idleTimeoutSeconds', idleTimeoutSeconds) : { idleTimeout: idle }),
  }
}

function doubled(spec: FlatPoolSpec): string | undefined {
  const words = [...WORDS, ['idleTimeout', 'idleTimeoutSeconds'] as const]
  const pair = words.find(([flat, canonical]) => spec[flat] !== undefined && spec[canonical] !== undefined)
  return pair && `spec.${pair[0]} and spec.${pair[1]} mean the same: give one of them`
}

/** A pool that shrank without any time would never be warm. */
function positiveSeconds(text: string): number | string {
  const seconds = wholeSeconds(text)
  return seconds === 0 ? `expected a duration longer than none, found ${JSON.stringify(text)}` : seconds
}

function timeoutOf(before: string, seconds: number | undefined): string | undefined {
  if (seconds === undefined) return undefined
  return positiveSeconds(before) === seconds ? before : formatGoSeconds(seconds)
}

function withoutEffect({ replicas, minReplicas, maxReplicas, idleTimeoutSeconds }: SandboxWarmPoolSpec): string[] {
  const follows = minReplicas !== undefined || maxReplicas !== undefined
  return [
    ...(follows && replicas !== undefined
      ? ['spec.replicas has no effect beside minSize and maxSize, between which the pool follows demand']
      : []),
    ...(!follows && idleTimeoutSeconds !== undefined
      ? ['spec.idleTimeout has no effect without minSize and maxSize']
      : []),
  ]
}
