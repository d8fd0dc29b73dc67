/**
 * Admission by webhooks: the one part of a write that has to wait for others.
 *
 * Writes are functions that run inside one store transaction, where nothing can wait. So a write that a webhook has a say
 * in is rehearsed: its function runs until it needs a judgement that is not there yet, and is undone; the webhooks are
 * asked; then it runs again, against the newest state, and takes the judgement where it asks about the very same objects.
 * Where somebody else has changed them meanwhile, the webhooks are asked once more. A write that no webhook is about
 * takes the direct way.
 */
import { randomUUID } from 'node:crypto'
import type { KubeObject } from '@caisson/api'
import type { Registry } from '../../registry/registry.ts'
import type { Resource } from '../../registry/resource.ts'
import { deepCopy, deepEqual } from '../../storage/freeze.ts'
import type { Store, Transaction } from '../../storage/store.ts'
import type { AdmissionRequest } from '../../verbs/call.ts'
import type { Environment } from '../../verbs/environment.ts'
import { answered, OpenQuestion } from '../../verbs/open-question.ts'
import { isExempt } from '../match-rules.ts'
import { type AskContext, askMutating, askValidating, type Mutation, meant } from './ask-webhooks.ts'
import { followConfigurations, type Webhook } from './configurations.ts'
import { createReviewCaller, type WebhookClient } from './webhook-client.ts'

export interface WebhooksOptions {
  store: Store
  registry: Registry
  client: WebhookClient
  /** A webhook failed and may. */
  report(error: unknown): void
}

export interface Webhooks extends Disposable {
  /** What one request about objects of the kind is to work with. */
  environmentFor(resource: Resource, environment: Environment): Environment
}

type Phase = 'mutate' | 'mutate again' | 'validate'

interface Judgement {
  phase: Phase
  /** The request that was judged. */
  request: AdmissionRequest
  mutation?: Mutation
  refusal?: unknown
}

export function createWebhooks({ store, registry, client, report }: WebhooksOptions): Webhooks {
  const configurations = followConfigurations(store)
  const context: AskContext = { store, registry, call: createReviewCaller(client), report }

  function isMeant(hooks: readonly Webhook[], resource: Resource): boolean {
    return hooks.some(({ rules, matchPolicy }) =>
      (rules ?? []).some(({ apiGroups, resources }) => {
        if (matchPolicy !== 'Exact' && resource.stored) return true
        const hasGroup = (apiGroups ?? []).some((each) => each === '*' || each === resource.group)
        const sharesStorage = matchPolicy !== 'Exact' && resource.group !== '' && !resource.custom
        return (
          (hasGroup || sharesStorage) &&
          (resources ?? []).some((text) => text.startsWith('*') || text.split('/', 1)[0] === resource.plural)
        )
      }),
    )
  }

  return {
    environmentFor(resource, environment) {
      const { mutating, validating } = configurations
      // Whatever is written, a policy may be about objects that have to be converted.
      if (!registry.converts && !isMeant(mutating, resource) && !isMeant(validating, resource)) return environment
      return rehearsing({ environment, context, mutating, validating })
    },
    [Symbol.dispose]() {
      configurations[Symbol.dispose]()
    },
  }
}

interface Rehearsal {
  environment: Environment
  context: AskContext
  mutating: readonly Webhook[]
  validating: readonly Webhook[]
}

function rehearsing({ environment, context, mutating, validating }: Rehearsal): Environment {
  const judgements: Judgement[] = []
  const { store } = environment
  // The same in each rehearsal, so that the objects that are asked about are the same too.
  const time = environment.now()

  function write<T>(operation: (transaction: Transaction) => T, share?: string): Promise<T> {
    return answered(() => store.write(operation, share))
  }

  /** What was said of this very request. Throws where nothing was, or no. */
  function judged(phase: Phase, request: AdmissionRequest, ask: (snapshot: AdmissionRequest) => Promise<Judgement>) {
    const known = judgements.find((each) => each.phase === phase && isSame(each.request, request))
    if (!known) {
      const snapshot = { ...request, object: request.object && deepCopy(request.object) }
      throw new OpenQuestion(async () => {
        judgements.push(
          await ask(snapshot).catch((refusal: unknown): Judgement => ({ phase, request: snapshot, refusal })),
        )
      })
    }
    if (known.refusal !== undefined) throw known.refusal
    return known
  }

  function mutate(phase: Phase, hooks: readonly Webhook[], request: AdmissionRequest): Mutation | undefined {
    if (!hooks.some((hook) => meant(hook, request, context))) return undefined
    const { mutation } = judged(phase, request, async (snapshot) => ({
      phase,
      request: snapshot,
      mutation: await askMutating(hooks, snapshot, context),
    }))
    if (mutation?.object && request.object) replace(request.object, deepCopy(mutation.object))
    return mutation
  }

  function validate(request: AdmissionRequest): void {
    if (isExempt(request) || !validating.some((hook) => meant(hook, request, context))) return
    judged('validate', request, async (snapshot) => {
      await askValidating(validating, snapshot, context)
      return { phase: 'validate', request: snapshot }
    })
  }

  return {
    ...environment,
    store: Object.create(store, { write: { value: write } }) as Store,
    now: () => time,
    rehearses: { uid: randomUUID() },
    admit(request) {
      environment.admit(request)
      if (isExempt(request)) return
      if (request.operation === 'CONNECT') return validate(request)
      const before = mutating.length > 0 && request.object ? deepCopy(request.object) : undefined
      const mutation = mutate('mutate', mutating, request)
      if (mutation && request.object && !deepEqual(before, request.object)) {
        // What was made may be in want of what Kubernetes itself completes, and that of the webhooks' once more.
        const made = deepCopy(request.object)
        environment.admit(request)
        const again = deepEqual(made, request.object) ? mutation.outdated : mutation.reinvocable
        mutate('mutate again', again, request)
      }
      // Deletions are not validated apart.
      if (request.operation === 'DELETE') validate(request)
    },
    admitValidated(request) {
      environment.admitValidated(request)
      validate(request)
    },
  }
}

function isSame(a: AdmissionRequest, b: AdmissionRequest): boolean {
  return (
    a.operation === b.operation &&
    a.resource === b.resource &&
    a.subresource === b.subresource &&
    a.namespace === b.namespace &&
    a.name === b.name &&
    deepEqual(a.oldObject, b.oldObject) &&
    deepEqual(a.object, b.object)
  )
}

/** In place, metadata included: whoever admits an object goes on with what it has in hand. */
function replace(object: KubeObject, by: KubeObject): void {
  const { metadata } = object
  for (const key of Object.keys(metadata)) delete (metadata as Record<string, unknown>)[key]
  for (const key of Object.keys(object)) delete object[key]
  Object.assign(object, by, { metadata: Object.assign(metadata, by.metadata) })
}
