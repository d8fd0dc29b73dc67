/**
 * Writes the status that a plan wants: only what differs, only when it is worth a write, and not again and again where
 * the server's schema has no place for it.
 */
import { type AnyObject, type Client, hasReason, type Informer, isConflict, isNotFound } from '@caisson/client'
import { mergePatch, missingPaths, sameJson, withoutInConditions } from './json-difference.ts'
import type { Plan } from './plan.ts'
import type { WriteContext } from './write-runner.ts'

export interface StatusMemory {
  /** Since when a status that may wait has been waiting, ms since the epoch. */
  waitingSince?: number
  /** A write that was answered with something else than what was asked for, or not accepted at all. */
  futile?: { wanted: object; stored: object }
}

type StatusResult =
  | { kind: 'unchanged' }
  | { kind: 'waiting'; until: number }
  /** `exact` where what is stored now is what was wanted. */
  | { kind: 'written'; missing: string[]; exact: boolean }
  | { kind: 'refused'; message: string }
  /** The object has changed or is gone; the cache knows. */
  | { kind: 'outdated' }

interface StatusWriterOptions<T extends AnyObject> {
  client: Client
  informer: Informer<T>
  refresh(object: T, context: WriteContext): Promise<AnyObject | undefined>
}

export type StatusWriter<T> = (
  object: T,
  plan: Plan<object>,
  context: WriteContext & { memory: StatusMemory; now: number },
) => Promise<StatusResult>

export function createStatusWriter<T extends AnyObject & { status?: object }>({
  client,
  informer,
  refresh,
}: StatusWriterOptions<T>): StatusWriter<T> {
  // Other people's CRDs may have no status subresource. Then status is written like everything else, and each write
  // raises the generation, which must not be a reason to write again.
  let subresource = true

  async function send(object: T, { status, annotations }: Patch, signal: AbortSignal): Promise<T> {
    const { name = '', namespace, uid, resourceVersion } = object.metadata
    const body = { metadata: { uid, resourceVersion, ...(annotations && { annotations }) }, ...(status && { status }) }
    return subresource
      ? client.patchStatus(informer.resource, name, body, { namespace, signal })
      : client.patch(informer.resource, name, body, { namespace, signal })
  }

  /** Written with the object, the status stayed as it was: the CRD may be one that has the subresource by now. */
  async function sendAgain(object: T, patch: Patch, signal: AbortSignal, answer: T): Promise<T> {
    subresource = true
    try {
      return await send(object, patch, signal)
    } catch (error) {
      if (!isNotFound(error)) throw error
      subresource = false
      return answer
    }
  }

  function difference(stored: object, wanted: object): Record<string, unknown> | undefined {
    if (
      !subresource &&
      sameJson(withoutInConditions(stored, 'observedGeneration'), withoutInConditions(wanted, 'observedGeneration'))
    )
      return undefined
    return mergePatch(stored, wanted)
  }

  return async function writeStatus(object, plan, context) {
    const { memory, now, signal, quietly } = context
    const stored = object.status ?? {}
    const wanted = plan.status
    const patch = wanted && patchFrom(difference(stored, wanted), annotationsOf(object, plan))
    if (!wanted || !patch || isFutile(memory, wanted, stored) || plan.statusMayWait === 'for-ever') {
      delete memory.waitingSince
      return { kind: 'unchanged' }
    }
    if (plan.statusMayWait > 0) {
      memory.waitingSince ??= now
      const until = memory.waitingSince + plan.statusMayWait
      if (until > now) return { kind: 'waiting', until }
    }
    let answer: T
    try {
      answer = await send(object, patch, signal)
      if (!subresource && sameJson(answer.status ?? {}, stored)) answer = await sendAgain(object, patch, signal, answer)
    } catch (error) {
      signal.throwIfAborted()
      if (hasReason(error, 'Invalid', 'BadRequest', 'RequestEntityTooLarge')) {
        memory.futile = { wanted, stored }
        return { kind: 'refused', message: error.message }
      }
      if (!isConflict(error) && !isNotFound(error)) throw error
      const found = await refresh(object, context)
      if (isNotFound(error) && found && found.metadata.uid === object.metadata.uid) subresource = false
      return { kind: 'outdated' }
    }
    quietly(() => informer.observe(answer))
    delete memory.waitingSince
    const written = answer.status ?? {}
    const exact = sameJson(written, wanted)
    if (exact) delete memory.futile
    else memory.futile = { wanted, stored: written }
    return { kind: 'written', missing: exact ? [] : missingPaths(wanted, written, 'status'), exact }
  }
}

interface Patch {
  status?: object
  annotations?: object
}

function patchFrom(status: object | undefined, annotations: object | undefined): Patch | undefined {
  if (!status && !annotations) return undefined
  return { ...(status && { status }), ...(annotations && { annotations }) }
}

function annotationsOf({ metadata }: AnyObject, { statusAnnotations }: Plan<object>): object | undefined {
  const wanted = Object.entries(statusAnnotations ?? {})
  const differing = wanted.filter(([key, value]) => metadata.annotations?.[key] !== value)
  return differing.length ? Object.fromEntries(differing) : undefined
}

function isFutile({ futile }: StatusMemory, wanted: object, stored: object): boolean {
  // A condition that was not stored is made anew, and at another time, by each plan.
  const same = (a: object, b: object) =>
    sameJson(withoutInConditions(a, 'lastTransitionTime'), withoutInConditions(b, 'lastTransitionTime'))
  return futile !== undefined && same(futile.wanted, wanted) && same(futile.stored, stored)
}
