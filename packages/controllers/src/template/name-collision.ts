/**
 * NetworkPolicies select the Pods of a template, and `status.selector` those of a pool, by 32 bits of a hash of its name, as
 * agent-sandbox has it. Two names with the same hash are easily made. What one policy allows would be allowed to the
 * Sandboxes of both templates: nothing is made of the younger one. Pools and Sandboxes are told apart by their UIDs; that an
 * autoscaler would measure the Pods of both is said about the younger one.
 */
import { nameHash } from '@caisson/api'
import { type AnyObject, type Informer, joinKey } from '@caisson/client'

/** Index of objects by namespace and the hash of their name. */
export const BY_NAME_HASH = 'nameHash'

type Named<T extends AnyObject> = Pick<Informer<T>, 'byIndex'>

export function nameHashKey({ metadata }: AnyObject): string[] {
  return [joinKey(metadata.namespace, nameHash(metadata.name ?? ''))]
}

/** The object, which need not be there any more, and those of its kind and namespace whose names have the same hash. */
export function withNamesakes<T extends AnyObject>(informer: Named<T>, object: T): readonly T[] {
  return [object, ...namesakesOf(informer, object)]
}

function namesakesOf<T extends AnyObject>(informer: Named<T>, object: T): readonly T[] {
  const found = nameHashKey(object).flatMap((key) => informer.byIndex(BY_NAME_HASH, key))
  return found.filter(({ metadata }) => metadata.name !== object.metadata.name)
}

/**
 * The name of an older object of the kind and namespace, where its hash is that of this one's name. Times are in whole
 * seconds: of two of the same one, that which `isEstablished` is the older, else the one whose name comes first.
 */
export function olderNamesake<T extends AnyObject>(
  informer: Named<T>,
  object: T,
  isEstablished: (object: T) => boolean = () => false,
): string | undefined {
  const order = (a: T, b: T): number =>
    timeOf(a) - timeOf(b) || Number(isEstablished(b)) - Number(isEstablished(a)) || (nameOf(a) < nameOf(b) ? -1 : 1)
  return namesakesOf(informer, object).find((other) => order(other, object) < 0)?.metadata.name
}

function timeOf({ metadata }: AnyObject): number {
  return Date.parse(metadata.creationTimestamp ?? '') || 0
}

function nameOf({ metadata }: AnyObject): string {
  return metadata.name ?? ''
}
