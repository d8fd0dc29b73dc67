/** Typed requests over a transport: what client-go's typed clients and the controller-runtime client do. */
import type { ListMeta, Status } from '@caisson/api'
import { errorFromAnswer } from './api-error.ts'
import type {
  ApplyOptions,
  CallOptions,
  CreateOptions,
  DeleteCollectionOptions,
  DeleteOptions,
  GetOptions,
  ListOptions,
  LogOptions,
  PatchOptions,
  ResourceEvent,
  ResourceList,
  UpdateOptions,
  WatchOptions,
  WriteOptions,
} from './client-options.ts'
import { resources } from './core-resources.ts'
import { type AnyObject, type Draft, type Resource, resourcePath } from './resource.ts'
import type { ApiRequest, PatchType, Transport } from './transport.ts'
import { TransportError } from './transport-error.ts'

/**
 * Every function rejects with an `ApiError` when the server says no, with a `TransportError` when no answer came, with
 * the signal's reason when it was aborted, and with a TypeError for names that can be none. Objects that come back may
 * be frozen and shared: copy before you change one.
 */
export interface Client {
  readonly transport: Transport
  /** Another one that is like this but for its transport. */
  over(transport: Transport): Client
  get<T extends AnyObject>(resource: Resource<T>, name: string, options?: GetOptions): Promise<T>
  /** One page; without `limit` everything. */
  list<T extends AnyObject>(resource: Resource<T>, options?: ListOptions): Promise<ResourceList<T>>
  /** Every object over all pages, 500 to a page unless `limit` says otherwise. Of one point in time. */
  listAll<T extends AnyObject>(resource: Resource<T>, options?: ListOptions): AsyncIterable<T>
  /** One watch request. It ends when the server ends it; an informer is what goes on. */
  watch<T extends AnyObject>(resource: Resource<T>, options?: WatchOptions): AsyncIterable<ResourceEvent<T>>
  create<T extends AnyObject>(resource: Resource<T>, object: Draft<T>, options?: CreateOptions): Promise<T>
  /** Replaces; with a resourceVersion in the object only that version. */
  update<T extends AnyObject>(resource: Resource<T>, object: Draft<T>, options?: UpdateOptions): Promise<T>
  updateStatus<T extends AnyObject>(resource: Resource<T>, object: Draft<T>, options?: UpdateOptions): Promise<T>
  /** A merge patch unless `type` says otherwise. */
  patch<T extends AnyObject>(resource: Resource<T>, name: string, patch: unknown, options?: PatchOptions): Promise<T>
  patchStatus<T extends AnyObject>(
    resource: Resource<T>,
    name: string,
    patch: unknown,
    options?: PatchOptions,
  ): Promise<T>
  /** Server-side apply. The object says all fields that the field manager wants, and no resourceVersion unless it must match. */
  apply<T extends AnyObject>(resource: Resource<T>, object: Draft<DeepPartial<T>>, options?: ApplyOptions): Promise<T>
  applyStatus<T extends AnyObject>(
    resource: Resource<T>,
    object: Draft<DeepPartial<T>>,
    options?: ApplyOptions,
  ): Promise<T>
  /** What came back: the object where it is still being deleted (or as it was), or a Status of success. */
  delete<T extends AnyObject>(resource: Resource<T>, name: string, options?: DeleteOptions): Promise<T | Status>
  deleteCollection(resource: Resource, options?: DeleteCollectionOptions): Promise<void>
  /** POST to a subresource whose kind is another one: `eviction`, `binding`, `token`. */
  createSubresource<R = Status>(
    resource: Resource,
    name: string,
    subresource: string,
    body: unknown,
    options?: WriteOptions,
  ): Promise<R>
  /** A container's log as it is on the wire; with `follow` until the container ends or the signal says so. */
  logs(pod: string, options: LogOptions): AsyncIterable<Uint8Array>
  /** Any other request; the decoded answer of a 2xx. */
  request<R = unknown>(request: ApiRequest): Promise<R>
}

export type DeepPartial<T> = T extends readonly unknown[]
  ? T
  : T extends object
    ? { [F in keyof T]?: DeepPartial<T[F]> }
    : T

export interface CreateClientOptions {
  /** Who owns the fields that are written: at most 128 printable characters. Needed for `apply`. */
  fieldManager?: string
  /** Of writes that do not say otherwise. `Ignore` spares the server to read them a second time for fields that it does not know. */
  fieldValidation?: NonNullable<WriteOptions['fieldValidation']>
  /** Called with each Warning header that is not caught by the request's own `onWarning`. */
  onWarning?: (warning: string) => void
}

const PAGE = 500

export function createClient(transport: Transport, defaults: CreateClientOptions = {}): Client {
  async function send(request: ApiRequest, options: CallOptions): Promise<unknown> {
    options.signal?.throwIfAborted()
    const { signal, onSent } = options
    const answer = await transport.request(
      signal || onSent ? { ...request, ...(signal && { signal }), onSent } : request,
    )
    const onWarning = options.onWarning ?? defaults.onWarning
    if (onWarning) for (const warning of answer.warnings) onWarning(warning)
    if (answer.status < 200 || answer.status > 299) {
      throw errorFromAnswer(answer.status, answer.body, answer.retryAfter)
    }
    return answer.body
  }

  async function sendObject<T extends AnyObject>(request: ApiRequest, options: CallOptions): Promise<T> {
    const body = await send(request, options)
    if (!isObject(body)) throw malformed(request, 'an object')
    return body as unknown as T
  }

  function writeQuery(options: WriteOptions): Record<string, string | undefined> {
    return {
      dryRun: options.dryRun ? 'All' : undefined,
      fieldManager: options.fieldManager ?? defaults.fieldManager,
      fieldValidation: options.fieldValidation ?? defaults.fieldValidation,
    }
  }

  function put<T extends AnyObject>(resource: Resource<T>, object: Draft<T>, options: UpdateOptions): Promise<T> {
    const { metadata } = object as unknown as AnyObject
    return sendObject<T>(
      {
        method: 'PUT',
        path: resourcePath(resource, {
          namespace: options.namespace ?? metadata.namespace,
          name: nameOf(resource, metadata.name),
          subresource: options.subresource,
        }),
        query: writeQuery(options),
        body: withKind(resource, object),
      },
      options,
    )
  }

  function sendPatch<T extends AnyObject>(
    resource: Resource<T>,
    name: string,
    patch: unknown,
    options: PatchOptions,
  ): Promise<T> {
    return sendObject<T>(
      {
        method: 'PATCH',
        path: resourcePath(resource, { namespace: options.namespace, name, subresource: options.subresource }),
        query: writeQuery(options),
        body: patch,
        patchType: PATCH_TYPES[options.type ?? 'merge'],
      },
      options,
    )
  }

  async function apply<T extends AnyObject>(
    resource: Resource<T>,
    object: Draft<DeepPartial<T>>,
    options: ApplyOptions,
  ): Promise<T> {
    const query = writeQuery(options)
    if (!query['fieldManager'])
      throw new TypeError('apply needs a fieldManager: give one to createClient or in the options')
    const { metadata } = object as unknown as AnyObject
    return sendObject<T>(
      {
        method: 'PATCH',
        path: resourcePath(resource, {
          namespace: options.namespace ?? metadata?.namespace,
          name: nameOf(resource, metadata?.name),
          subresource: options.subresource,
        }),
        query: { ...query, force: options.force ? 'true' : undefined },
        body: withKind(resource, object),
        patchType: 'application/apply-patch+yaml',
      },
      options,
    )
  }

  async function list<T extends AnyObject>(resource: Resource<T>, options: ListOptions = {}): Promise<ResourceList<T>> {
    const request: ApiRequest = {
      method: 'GET',
      path: resourcePath(resource, { namespace: options.namespace }),
      query: {
        ...selectorQuery(options),
        limit: options.limit === undefined ? undefined : String(options.limit),
        continue: options.continue,
        resourceVersion: options.resourceVersion,
        resourceVersionMatch: options.resourceVersionMatch,
      },
    }
    const body = await send(request, options)
    if (!isList(body)) throw malformed(request, 'a list')
    return {
      // A list names the kind once, its items of built-in kinds do not.
      items: (body.items ?? []).map((item) => withKind(resource, item as T) as T),
      resourceVersion: body.metadata.resourceVersion ?? '',
      continue: body.metadata.continue || undefined,
      remainingItemCount: body.metadata.remainingItemCount,
    }
  }

  async function* listAll<T extends AnyObject>(resource: Resource<T>, options: ListOptions = {}): AsyncGenerator<T> {
    let page = await list(resource, { limit: PAGE, ...options })
    for (;;) {
      yield* page.items
      if (!page.continue) return
      // A later page carries the point in time of the first in its token.
      const { resourceVersion: _, resourceVersionMatch: __, ...rest } = options
      page = await list(resource, { limit: PAGE, ...rest, continue: page.continue })
    }
  }

  function watch<T extends AnyObject>(
    resource: Resource<T>,
    options: WatchOptions = {},
  ): AsyncIterable<ResourceEvent<T>> {
    const events = transport.watch({
      method: 'GET',
      path: resourcePath(resource, { namespace: options.namespace }),
      query: {
        ...selectorQuery(options),
        watch: 'true',
        resourceVersion: options.resourceVersion,
        resourceVersionMatch: options.resourceVersionMatch,
        allowWatchBookmarks: options.allowWatchBookmarks ? 'true' : undefined,
        sendInitialEvents: options.sendInitialEvents === undefined ? undefined : String(options.sendInitialEvents),
        timeoutSeconds: options.timeoutSeconds === undefined ? undefined : String(options.timeoutSeconds),
      },
      ...(options.signal && { signal: options.signal }),
      ...(options.onOpen && { onOpen: options.onOpen }),
    })
    // The transport has seen that each line is an event; that the objects are of T is the server's word.
    return events as AsyncIterable<ResourceEvent<T>>
  }

  return {
    transport,
    over: (other) => createClient(other, defaults),
    list,
    listAll,
    watch,
    async get(resource, name, options = {}) {
      return sendObject(
        {
          method: 'GET',
          path: resourcePath(resource, { namespace: options.namespace, name, subresource: options.subresource }),
          query: { resourceVersion: options.resourceVersion },
        },
        options,
      )
    },
    async create<T extends AnyObject>(resource: Resource<T>, object: Draft<T>, options: CreateOptions = {}) {
      const namespace = options.namespace ?? (object as unknown as AnyObject).metadata.namespace
      if (resource.namespaced && namespace === undefined) {
        throw new TypeError(`a new ${resource.kind} needs a namespace: in its metadata or in the options`)
      }
      return sendObject<T>(
        {
          method: 'POST',
          path: resourcePath(resource, { namespace }),
          query: writeQuery(options),
          body: withKind(resource, object),
        },
        options,
      )
    },
    async update(resource, object, options = {}) {
      return put(resource, object, options)
    },
    async updateStatus(resource, object, options = {}) {
      return put(resource, object, { ...options, subresource: 'status' })
    },
    async patch(resource, name, patch, options = {}) {
      return sendPatch(resource, name, patch, options)
    },
    async patchStatus(resource, name, patch, options = {}) {
      return sendPatch(resource, name, patch, { ...options, subresource: 'status' })
    },
    async apply(resource, object, options = {}) {
      return apply(resource, object, options)
    },
    async applyStatus(resource, object, options = {}) {
      return apply(resource, object, { ...options, subresource: 'status' })
    },
    async delete<T extends AnyObject>(resource: Resource<T>, name: string, options: DeleteOptions = {}) {
      return sendObject<T>(
        {
          method: 'DELETE',
          path: resourcePath(resource, { namespace: options.namespace, name }),
          body: deleteBody(options),
        },
        options,
      )
    },
    async deleteCollection(resource, options = {}) {
      await send(
        {
          method: 'DELETE',
          path: resourcePath(resource, { namespace: options.namespace }),
          query: selectorQuery(options),
          body: deleteBody(options),
        },
        options,
      )
    },
    async createSubresource<R>(
      resource: Resource,
      name: string,
      subresource: string,
      body: unknown,
      options: WriteOptions = {},
    ) {
      const path = resourcePath(resource, { namespace: options.namespace, name, subresource })
      return (await send({ method: 'POST', path, query: writeQuery(options), body }, options)) as R
    },
    logs(pod, options) {
      return transport.stream({
        method: 'GET',
        path: resourcePath(resources.pods, { namespace: options.namespace, name: pod, subresource: 'log' }),
        query: {
          container: options.container,
          follow: options.follow ? 'true' : undefined,
          previous: options.previous ? 'true' : undefined,
          timestamps: options.timestamps ? 'true' : undefined,
          tailLines: options.tailLines === undefined ? undefined : String(options.tailLines),
          limitBytes: options.limitBytes === undefined ? undefined : String(options.limitBytes),
          sinceSeconds: options.sinceSeconds === undefined ? undefined : String(options.sinceSeconds),
          sinceTime: options.sinceTime,
          stream: options.stream,
        },
        ...(options.signal && { signal: options.signal }),
      })
    },
    async request<R>(request: ApiRequest) {
      return (await send(request, request.signal ? { signal: request.signal } : {})) as R
    },
  }
}

const PATCH_TYPES = {
  merge: 'application/merge-patch+json',
  json: 'application/json-patch+json',
  strategic: 'application/strategic-merge-patch+json',
} as const satisfies Record<string, PatchType>

function selectorQuery(options: { labelSelector?: string; fieldSelector?: string }) {
  return { labelSelector: options.labelSelector || undefined, fieldSelector: options.fieldSelector || undefined }
}

function deleteBody(options: DeleteOptions) {
  return {
    apiVersion: 'v1',
    kind: 'DeleteOptions',
    propagationPolicy: options.propagationPolicy,
    gracePeriodSeconds: options.gracePeriodSeconds,
    preconditions: options.preconditions,
    dryRun: options.dryRun ? ['All'] : undefined,
  }
}

function withKind<T extends object>(resource: Resource, object: T): T {
  if ('apiVersion' in object && 'kind' in object && object.apiVersion !== undefined && object.kind !== undefined) {
    return object
  }
  return { ...object, apiVersion: resource.apiVersion, kind: resource.kind }
}

function nameOf(resource: Resource, name: string | undefined): string {
  if (!name) throw new TypeError(`the ${resource.kind} needs metadata.name`)
  return name
}

function isObject(value: unknown): value is object {
  return typeof value === 'object' && value !== null && !Array.isArray(value) && 'kind' in value
}

/** Go servers write an empty list of items as null. */
function isList(body: unknown): body is { metadata: ListMeta; items?: unknown[] | null } {
  if (!isObject(body) || !('metadata' in body) || typeof body.metadata !== 'object' || body.metadata === null)
    return false
  return !('items' in body) || body.items === null || Array.isArray(body.items)
}

function malformed(request: ApiRequest, expected: string): TransportError {
  return new TransportError('malformed', `${request.method} ${request.path}: expected ${expected}, got something else`)
}
