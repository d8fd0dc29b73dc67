/** Asks the webhooks that are meant about one request, and makes one judgement of what they say. */
import type { KubeObject } from '@caisson/api'
import { forbiddenObject } from '../../authz/attributes.ts'
import { applyJsonPatch, type JsonPatchOperation } from '../../patch/json-patch.ts'
import type { Resource } from '../../registry/resource.ts'
import { StatusError, type StatusReason } from '../../status-error.ts'
import { deepCopy, deepEqual } from '../../storage/freeze.ts'
import type { AdmissionRequest } from '../../verbs/call.ts'
import { cleanUp } from '../../verbs/decode-object.ts'
import { badRequest } from '../../verbs/errors.ts'
import { answered } from '../../verbs/open-question.ts'
import { inVersion } from '../../verbs/versions.ts'
import { admissionAttributes } from '../admission-review.ts'
import { matchConditions, requestValues } from '../match-conditions.ts'
import { type MatchContext, matchRequest } from '../match-rules.ts'
import type { Webhook } from './configurations.ts'
import { type ReviewAnswer, type ReviewCaller, WebhookError } from './webhook-client.ts'

export interface AskContext extends MatchContext {
  call: ReviewCaller
  /** A webhook that failed and may. */
  report(error: unknown): void
}

export interface Mutation {
  /** What the webhooks made of the object. */
  object: KubeObject | undefined
  /** Asked again once something after them changed the object. */
  reinvocable: readonly Webhook[]
  /** Those of them after which another webhook did so. */
  outdated: readonly Webhook[]
}

/** One after the other, each sees what the ones before it made. Throws the StatusError of the first that refuses. */
export async function askMutating(
  hooks: readonly Webhook[],
  first: AdmissionRequest,
  context: AskContext,
): Promise<Mutation> {
  let current = first
  const reinvocable: Webhook[] = []
  const outdated = new Set<Webhook>()
  for (const hook of hooks) {
    const request = current
    const shown = await answered(() => meant(hook, request, context))
    if (!shown) continue
    const answer = await ask(hook, { request, shown, mutating: true }, context)
    const object = answer && (await answered(() => patched(hook, answer, request, shown)))
    if (object) {
      for (const each of reinvocable) outdated.add(each)
      current = { ...current, object }
    }
    if (hook.reinvocationPolicy === 'IfNeeded') reinvocable.push(hook)
  }
  return { object: current.object, reinvocable, outdated: [...outdated] }
}

/** All at once. Throws the StatusError of one that refuses. */
export async function askValidating(
  hooks: readonly Webhook[],
  request: AdmissionRequest,
  context: AskContext,
): Promise<void> {
  const asked = hooks.map(async (hook) => {
    const shown = await answered(() => meant(hook, request, context))
    if (shown) await ask(hook, { request, shown, mutating: false }, context)
  })
  const failed = (await Promise.allSettled(asked)).find(({ status }) => status === 'rejected')
  if (failed?.status === 'rejected') throw failed.reason
}

/** The kind as which the webhook is to be asked; undefined where it is not. Throws Forbidden. */
export function meant(hook: Webhook, request: AdmissionRequest, context: MatchContext): Resource | undefined {
  const shown = matchRequest(hook, request, context)
  if (!shown || !hook.matchConditions?.length) return shown
  const { matches, errors } = matchConditions(hook.matchConditions, requestValues(admissionAttributes(request, shown)))
  if (errors.length > 0 && hook.failurePolicy !== 'Ignore') {
    const { group, plural } = request.resource
    const said = errors.length === 1 ? (errors[0] as string) : `[${errors.join(', ')}]`
    throw forbiddenObject({ group, resource: plural, name: request.name }, said)
  }
  return matches ? shown : undefined
}

interface Question {
  request: AdmissionRequest
  shown: Resource
  mutating: boolean
}

/** Undefined where the webhook failed and may. */
async function ask(
  hook: Webhook,
  { request, shown, mutating }: Question,
  context: AskContext,
): Promise<ReviewAnswer | undefined> {
  if (request.dryRun && hook.sideEffects !== 'None' && hook.sideEffects !== 'NoneOnDryRun')
    throw badRequest(`admission webhook ${JSON.stringify(hook.name)} does not support dry run`)
  let answer: ReviewAnswer
  try {
    answer = await context.call({
      client: hook.clientConfig,
      version: (hook.admissionReviewVersions ?? []).find((each) => each === 'v1' || each === 'v1beta1') ?? 'v1',
      attributes: await answered(() => admissionAttributes(request, shown)),
      timeoutSeconds: hook.timeoutSeconds ?? 10,
      mutating,
    })
  } catch (error) {
    if (!(error instanceof WebhookError)) throw error
    const said = `failed calling webhook ${JSON.stringify(hook.name)}: ${error.message}`
    if (hook.failurePolicy !== 'Ignore') throw internal(said, error)
    context.report(new Error(said, { cause: error }))
    return undefined
  }
  for (const warning of answer.warnings ?? []) request.warn(warning)
  if (answer.allowed !== true) throw denied(hook, answer)
  return answer
}

function internal(said: string, cause?: unknown): StatusError {
  return new StatusError('InternalError', `Internal error occurred: ${said}`, {
    details: { causes: [{ message: said }] },
    cause,
  })
}

function denied({ name }: Webhook, { status }: ReviewAnswer): StatusError {
  const start = `admission webhook ${JSON.stringify(name)} denied the request`
  const { message, reason, code = 0, details } = status ?? {}
  const said = message ? `${start}: ${message}` : reason ? `${start}: ${reason}` : `${start} without explanation`
  return new StatusError((reason || 'Unknown') as StatusReason, said, {
    code: code < 400 ? 400 : code,
    ...(details && { details }),
  })
}

/** The object with the webhook's patch; undefined where it changes nothing. */
function patched(
  hook: Webhook,
  { patch, patchType }: ReviewAnswer,
  request: AdmissionRequest,
  shown: Resource,
): KubeObject | undefined {
  if (!patch) return undefined
  const failed = (said: string): StatusError => internal(`failed calling webhook ${JSON.stringify(hook.name)}: ${said}`)
  if (patchType !== 'JSONPatch') throw failed(`unsupported patch type ${JSON.stringify(patchType)}`)
  let operations: JsonPatchOperation[]
  try {
    operations = JSON.parse(Buffer.from(patch, 'base64').toString()) as JsonPatchOperation[]
    if (!Array.isArray(operations)) throw new Error('it is no list of operations')
  } catch (error) {
    throw failed(`received undecodable patch in webhook response: ${(error as Error).message}`)
  }
  if (operations.length === 0) return undefined
  const { object, resource } = request
  if (!object) {
    const said = `admission webhook ${JSON.stringify(hook.name)} attempted to modify the object, which is not supported for this operation`
    throw internal(said)
  }
  const before = inVersion(shown, resource, object)
  let result: KubeObject
  try {
    result = cleanUp(shown, deepCopy(applyJsonPatch(before, operations)) as KubeObject).object
  } catch (error) {
    throw internal((error as Error).message.replace(/^\S+ in version "[^"]*" cannot be handled as a \S+: /, ''), error)
  }
  if (deepEqual(result, before)) return undefined
  return shown === resource ? result : deepCopy(inVersion(resource, shown, result))
}
