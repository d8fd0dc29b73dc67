/** GET of a collection, whole or in pages. */
import type { KubeList, KubeObject } from '@caisson/api'
import { groupVersion, storageKey } from '../registry/registry.ts'
import type { Resource } from '../registry/resource.ts'
import { StatusError } from '../status-error.ts'
import { compare, compareNamespaces } from '../storage/collection.ts'
import type { Store } from '../storage/store.ts'
import type { Answer, Call } from './call.ts'
import { type ContinueToken, decodeContinue, encodeContinue } from './continue-token.ts'
import type { Environment } from './environment.ts'
import { badRequest, expired } from './errors.ts'
import { type ListOptions, listOptions } from './list-options.ts'
import { parseResourceVersion, tooLargeResourceVersion } from './resource-version.ts'
import { fromStorage, prepareViews, viewsOf } from './versions.ts'

const TOO_OLD = 'The resourceVersion for the provided list is too old.'
const CONTINUE_TOO_OLD =
  'The provided continue parameter is too old to display a consistent list result. You can start a new list without the continue parameter, or use the continue token in this response to retrieve the remainder of the results. Continuing with the provided token results in an inconsistent list - objects that were created, modified, or deleted between the time the first chunk was returned and now may show up in the list.'

export function list(call: Call, resource: Resource, { store }: Environment): Answer | Promise<Answer> {
  const options = listOptions(call, resource, false)
  if (resource.custom || resource.stored) return listViews(store, resource, options)
  const { objects, metadata } = listObjects(store, resource, options)
  return listAnswer(resource, objects, metadata)
}

async function listViews(store: Store, resource: Resource, options: ListOptions): Promise<Answer> {
  const { objects, metadata } = await (resource.conversion ? listViewed : listObjects)(store, resource, options)
  return listAnswer(resource, await viewsOf(resource, objects), metadata)
}

interface Page {
  /** As stored. */
  objects: KubeObject[]
  metadata: KubeList['metadata']
}

function listAnswer(resource: Resource, items: KubeObject[], metadata: Page['metadata']): Answer {
  // Lists of custom resources say so, too, when there is nothing to continue with.
  if (resource.custom) metadata.continue ??= ''
  const body: KubeList = { kind: resource.listKind, apiVersion: groupVersion(resource), metadata, items }
  return { status: 200, body, resource, list: true }
}

/** The stored objects of one page, and the list's metadata. */
export function listObjects(store: Store, resource: Resource, options: ListOptions): Page {
  const { revision, all } = candidates(store, resource, options)
  return pageOf(all, { options, revision, matches: options.selection.matches })
}

/** The same where a webhook converts: what is selected by is what the client would see. Their views are there then. */
export async function listViewed(store: Store, resource: Resource, options: ListOptions): Promise<Page> {
  const { revision, all } = candidates(store, resource, options)
  const objects = [...all]
  const { filtered, matches } = options.selection
  if (filtered) await prepareViews(resource, objects)
  const page = pageOf(objects, {
    options,
    revision,
    matches: (each) => !filtered || matches(fromStorage(resource, each)),
  })
  await prepareViews(resource, page.objects)
  return page
}

interface Paging {
  options: ListOptions
  revision: number
  matches(object: KubeObject): boolean
}

function pageOf(all: Iterable<KubeObject>, { options, revision, matches }: Paging): Page {
  const { selection, limit } = options
  const objects: KubeObject[] = []
  let last: KubeObject | undefined
  let left = 0
  for (const object of all) {
    if (limit > 0 && objects.length >= limit) {
      left++
      if (selection.filtered) break
      continue
    }
    last = object
    if (matches(object)) objects.push(object)
  }
  const metadata: KubeList['metadata'] = { resourceVersion: String(revision) }
  if (left > 0) {
    metadata.continue = encodeContinue({ revision, start: startOf(last as KubeObject, selection.namespace) })
    if (!selection.filtered) metadata.remainingItemCount = left
  }
  return { objects, metadata }
}

/** What there is to select from, and the revision at which it is so. */
function candidates(
  store: Store,
  resource: Resource,
  options: ListOptions,
): { revision: number; all: Iterable<KubeObject> } {
  const token = options.continueToken === '' ? undefined : decodeContinue(options.continueToken)
  if (token && options.resourceVersion !== '' && options.resourceVersion !== '0')
    throw badRequest('specifying resource version is not allowed when using continue')
  const revision = revisionOf(options, token, store)
  return { revision: revision ?? store.revision, all: candidatesAt(store, resource, options, { revision, token }) }
}

/** The past revision that is asked for; undefined for the newest. */
function revisionOf(options: ListOptions, token: ContinueToken | undefined, store: Store): number | undefined {
  // -1 comes from the token of a 410 answer: go on with whatever there is now.
  if (token) return token.revision > 0 ? token.revision : undefined
  let wanted: number | undefined
  try {
    wanted = parseResourceVersion(options.resourceVersion)
  } catch (error) {
    throw badRequest(
      `invalid resource version: resourceVersion: Invalid value: ${JSON.stringify(options.resourceVersion)}: ${(error as Error).message}`,
    )
  }
  if (wanted === undefined) return undefined
  if (wanted > store.revision) throw tooLargeResourceVersion(options.resourceVersion, store.revision)
  const exact = options.resourceVersionMatch === 'Exact'
  const legacyExact = options.resourceVersionMatch === '' && options.limit > 0 && wanted > 0
  return exact || legacyExact ? wanted : undefined
}

function candidatesAt(
  store: Store,
  resource: Resource,
  { selection }: ListOptions,
  { revision, token }: { revision: number | undefined; token: ContinueToken | undefined },
): Iterable<KubeObject> {
  const key = storageKey(resource)
  const { namespace, name } = selection
  if (revision === undefined && !token && name !== undefined && (namespace !== undefined || !resource.namespaced)) {
    const object = store.get(key, namespace, name)
    return object ? [object] : []
  }
  const all = revision === undefined ? store.list(key, namespace) : store.listAt(key, namespace, revision)
  if (!all) throw token ? continueExpired(token) : expired(TOO_OLD)
  if (!token) return all
  const objects = [...all]
  return objects.slice(firstFrom(objects, token.start, namespace))
}

function continueExpired(token: ContinueToken): StatusError {
  return new StatusError('Expired', CONTINUE_TOO_OLD, {
    listMeta: { continue: encodeContinue({ revision: -1, start: token.start }) },
  })
}

/** The key after which the next page begins: etcd's key of the last object, and a zero byte. */
function startOf({ metadata }: KubeObject, namespace: string | undefined): string {
  const prefix = namespace === undefined && metadata.namespace ? `${metadata.namespace}/` : ''
  return `${prefix}${metadata.name}\0`
}

function firstFrom(objects: readonly KubeObject[], start: string, namespace: string | undefined): number {
  let low = 0
  let high = objects.length
  while (low < high) {
    const middle = (low + high) >>> 1
    if (isBefore(objects[middle] as KubeObject, start, namespace)) low = middle + 1
    else high = middle
  }
  return low
}

function isBefore({ metadata }: KubeObject, start: string, namespace: string | undefined): boolean {
  const slash = namespace === undefined ? start.indexOf('/') : -1
  if (slash === -1) return (metadata.name ?? '') < start
  const order = compareNamespaces(metadata.namespace ?? '', start.slice(0, slash))
  return (order || compare(metadata.name ?? '', start.slice(slash + 1))) < 0
}
