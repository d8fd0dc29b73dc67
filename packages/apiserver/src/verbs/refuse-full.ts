/**
 * How much may be stored in all: everything is in memory. A namespace has a share of it, so that no tenant fills it for
 * the others, and the cluster's own parts have what nobody else gets. What is there can always be deleted and made smaller.
 */
import { getHeapStatistics } from 'node:v8'
import type { KubeObject } from '@caisson/api'
import { isComponent, OWN_NAMESPACES } from '../authn/component-users.ts'
import { forbiddenObject } from '../authz/attributes.ts'
import { SUPERUSERS } from '../authz/authorizer.ts'
import type { Resource } from '../registry/resource.ts'
import { StatusError } from '../status-error.ts'
import { encode } from '../storage/encoding.ts'
import type { Transaction } from '../storage/store.ts'
import type { Call } from './call.ts'

export interface StorageLimits {
  /** Bytes of JSON of all objects. */
  total: number
  /** Of those of one namespace. */
  perNamespace: number
}

/** What etcd takes unless it is told otherwise. */
const MOST_BYTES = 2 * 2 ** 30
/** Objects take up to about this many times their JSON (maps of many short keys), ordinary ones a third of it. */
const HEAP_PARTS = 8
/** What is left to the cluster's own parts where a limit is reached for everybody else. */
const RESERVE = 0.1

/** @param heapBytes what this process may use, by the machine's memory or `--max-old-space-size` */
export function storageLimits(heapBytes = getHeapStatistics().heap_size_limit): StorageLimits {
  const total = Math.min(MOST_BYTES, Math.floor(heapBytes / HEAP_PARTS))
  return { total, perNamespace: Math.floor(total / 2) }
}

export interface StoredChange {
  call: Call
  resource: Resource
  limits: StorageLimits
  /** As it is about to be stored. */
  object: KubeObject
  previous?: KubeObject
}

/** Throws Forbidden where the namespace has its share, and InternalError with 507 where nothing is left at all. */
export function refuseWhereFull(transaction: Transaction, change: StoredChange): void {
  const { call, resource, limits, object } = change
  const { namespace = '', name = '' } = object.metadata
  const component = isComponent(call.user)
  const usable = component ? 1 : 1 - RESERVE
  const share = limits.perNamespace * (component ? 1 + RESERVE : 1)
  const full = transaction.bytes() >= limits.total * usable
  const own = namespace === '' || OWN_NAMESPACES.has(namespace)
  if (!full && (own || transaction.bytes(namespace) < share)) return
  if (call.user.groups.includes(SUPERUSERS) || keepsWithin(change, component)) return
  if (full)
    throw new StatusError(
      'InternalError',
      `database space exceeded: the objects of this cluster take ${mebibytes(transaction.bytes())} of at most ${mebibytes(limits.total)}: delete what is not needed any more, or start the server with more memory (NODE_OPTIONS=--max-old-space-size=MIB)`,
      { code: 507 },
    )
  throw forbiddenObject(
    { group: resource.group, resource: resource.plural, name },
    `exceeded quota: the objects of namespace ${JSON.stringify(namespace)} take ${mebibytes(transaction.bytes(namespace))} of at most ${mebibytes(limits.perNamespace)}: delete what is not needed any more`,
  )
}

/** What makes nothing larger, a finalizer that goes among it, and the statuses that the cluster's own parts keep. */
function keepsWithin({ object, previous }: StoredChange, component: boolean): boolean {
  return previous !== undefined && (component || JSON.stringify(object).length <= encode(previous).length)
}

function mebibytes(bytes: number): string {
  return `${(bytes / 2 ** 20).toFixed(1)} MiB`
}
