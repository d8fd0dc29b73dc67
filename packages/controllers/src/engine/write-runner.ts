/** Runs the writes of plans and puts what the API server answers into the caches, so that the next plan knows it. */
import {
  type AnyObject,
  type Client,
  hasReason,
  type Informer,
  isAlreadyExists,
  isApiError,
  isConflict,
  isNamespaceTerminating,
  isNotFound,
  joinKey,
  type Resource,
} from '@caisson/client'
import type { CreateWrite, DeleteWrite, PatchWrite, Write, WriteFailure } from './plan.ts'

export type WriteResult =
  | { kind: 'done'; answer?: AnyObject }
  /** What the write was based on is out of date; the cache has what there is now. */
  | { kind: 'outdated' }
  | {
      kind: 'failed'
      failure: WriteFailure
      /** It may have been done all the same: what it was about has to be refreshed before anything is planned again. */
      doubt?: Doubt
    }

/** What a write without an answer was about. */
export interface Doubt {
  resource: Resource
  at: Place
}

export interface WriteContext {
  signal: AbortSignal
  /** Wraps each change of a cache: what it sets off need not include the pass that wrote. */
  quietly: (change: () => void) => void
}

export interface WriteRunner {
  run(write: Write, context: WriteContext): Promise<WriteResult>
  /** Fetches an object into its cache; undefined (and gone from the cache) when there is none. */
  refresh(resource: Resource, at: Place, context: WriteContext): Promise<AnyObject | undefined>
}

interface Place {
  namespace: string | undefined
  name: string
}

export interface WriteRunnerOptions {
  client: Client
  /** The caches that a controller plans from. Objects of other kinds can be written, but not be known again. */
  informers: readonly WriteCache[]
}

/** What is known of the objects of a kind: an informer, or what remembers no more than what it was told here. */
export type WriteCache = Pick<Informer<AnyObject>, 'resource' | 'get' | 'observe' | 'observeDeletion'>

/** Refusals of an object that no repetition changes. */
const PERMANENT = ['Invalid', 'BadRequest', 'RequestEntityTooLarge']

/** As etcd, and its client in a kube-apiserver, say that an object is too large: the answer calls it an internal error. */
const TOO_LARGE = /\betcdserver: request is too large$|\btrying to send message larger than max\b/

/** As kube-apiserver says that a ValidatingAdmissionPolicy or an admission webhook did not want it. */
const BY_POLICY = / denied (?:the )?request\b/

export function createWriteRunner({ client, informers }: WriteRunnerOptions): WriteRunner {
  const informerOf = (resource: Resource) =>
    informers.find(({ resource: { group, plural } }) => group === resource.group && plural === resource.plural)
  /** The resource in the version that the cache reads it in. */
  const served = (resource: Resource) => informerOf(resource)?.resource ?? resource

  async function refresh(
    resource: Resource,
    { namespace, name }: Place,
    { signal, quietly }: WriteContext,
  ): Promise<AnyObject | undefined> {
    const informer = informerOf(resource)
    try {
      const found = await client.get(served(resource), name, { namespace, signal })
      quietly(() => informer?.observe(found))
      return found
    } catch (error) {
      if (!isNotFound(error)) throw error
      const cached = informer?.get(joinKey(namespace, name))
      if (cached) quietly(() => informer?.observeDeletion(cached))
      return undefined
    }
  }

  async function create(write: CreateWrite, context: WriteContext): Promise<WriteResult> {
    const { signal, quietly } = context
    const { object } = write
    const { namespace, name } = object.metadata
    try {
      const answer = await client.create(served(write.resource), object, { namespace, signal, ...strictness(write) })
      quietly(() => informerOf(write.resource)?.observe(answer))
      return { kind: 'done', answer }
    } catch (error) {
      if (!isAlreadyExists(error) || !name) throw error
      // Ours from a pass whose answer was lost, or a stranger's, or gone by now: the next plan looks at it.
      await refresh(write.resource, { namespace, name }, context)
      return { kind: 'outdated' }
    }
  }

  async function patch(write: PatchWrite, context: WriteContext): Promise<WriteResult> {
    const { signal, quietly } = context
    const { namespace, name } = write.target
    try {
      const answer = await client.patch(served(write.resource), name, write.patch, {
        namespace,
        signal,
        ...strictness(write),
      })
      quietly(() => informerOf(write.resource)?.observe(answer))
      return { kind: 'done', answer }
    } catch (error) {
      if (!isConflict(error) && !isNotFound(error) && !isUidMismatch(error)) throw error
      await refresh(write.resource, write.target, context)
      return { kind: 'outdated' }
    }
  }

  async function remove(write: DeleteWrite, context: WriteContext): Promise<WriteResult> {
    const { signal, quietly } = context
    const { namespace, name } = write.target
    const informer = informerOf(write.resource)
    const cached = informer?.get(joinKey(namespace, name))
    const { propagation, uid, resourceVersion, after } = write
    try {
      if (after && (await refresh(after.resource, after.target, context))?.metadata.uid === after.uid)
        return { kind: 'outdated' }
      const preconditions = { uid, ...(resourceVersion && { resourceVersion }) }
      const answer = await client.delete(served(write.resource), name, {
        namespace,
        preconditions,
        signal,
        ...(propagation && { propagationPolicy: propagation }),
      })
      quietly(() => {
        if (isMarked(answer)) informer?.observe(answer)
        else if (cached?.metadata.uid === write.uid) informer?.observeDeletion(cached)
      })
      return { kind: 'done' }
    } catch (error) {
      if (!isConflict(error) && !isNotFound(error)) throw error
      await refresh(write.resource, write.target, context)
      return { kind: 'outdated' }
    }
  }

  function doubtAbout(write: Write): Doubt | undefined {
    const { resource } = write
    const { namespace, name } = write.verb === 'create' ? write.object.metadata : write.target
    return name && informerOf(resource) ? { resource, at: { namespace, name } } : undefined
  }

  return {
    refresh,
    async run(write, context) {
      try {
        if (write.verb === 'create') return await create(write, context)
        if (write.verb === 'patch') return await patch(write, context)
        return await remove(write, context)
      } catch (error) {
        context.signal.throwIfAborted()
        const doubt = isRefusal(error) ? undefined : doubtAbout(write)
        return { kind: 'failed', failure: failureFrom(write, error), ...(doubt && { doubt }) }
      }
    },
  }
}

function strictness({ strict }: CreateWrite | PatchWrite): { fieldValidation?: 'Strict' } {
  return strict ? { fieldValidation: 'Strict' } : {}
}

/** The server has said no. Where it failed, or nobody answered, it may have done what it was asked for. */
function isRefusal(error: unknown): boolean {
  return isApiError(error) && (error.code < 500 || isPermanent(error))
}

function isPermanent(error: unknown): boolean {
  return hasReason(error, ...PERMANENT) || (isApiError(error) && TOO_LARGE.test(error.message))
}

function failureFrom(write: Write, error: unknown): WriteFailure {
  const message = error instanceof Error ? error.message : String(error)
  const permanent = write.verb !== 'delete' && isPermanent(error)
  return {
    id: write.id,
    message,
    permanent,
    ...(permanent && BY_POLICY.test(message) && { byPolicy: true }),
    namespaceTerminating: isNamespaceTerminating(error),
  }
}

/** A patch says whose it is by the UID. Kubernetes calls one for an object that has only the same name invalid. */
function isUidMismatch(error: unknown): boolean {
  return hasReason(error, 'Invalid') && (error.details?.causes ?? []).some(({ field }) => field === 'metadata.uid')
}

/** Still there, but on its way out: what a deletion answers that has to wait for something. */
function isMarked(answer: AnyObject | { kind: string }): answer is AnyObject {
  return 'metadata' in answer && answer.metadata.deletionTimestamp !== undefined
}
