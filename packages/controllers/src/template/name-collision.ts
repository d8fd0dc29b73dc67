/**
 * The NetworkPolicies of templates select Pods by 32 bits of a hash of the template's name, as agent-sandbox has it. Two
 * names with the same hash are easily made, and what one policy allows would be allowed to the Sandboxes of both: nothing
 * is made of the younger template. Pools and Sandboxes are told apart by their UIDs.
 */
import { nameHash } from '@caisson/api'
import { type AnyObject, type Informer, joinKey } from '@caisson/client'

/** Index of objects by namespace and the hash of their name. */
export const BY_NAME_HASH = 'nameHash'

export function nameHashKey({ metadata }: AnyObject): string[] {
  return [joinKey(metadata.namespace, nameHash(metadata.name ?? ''))]
}

/** Objects of the kind and namespace whose names have the hash of this one's, which need not be there any more. */
export function namesakesOf<T extends AnyObject>(informer: Pick<Informer<T>, 'byIndex'>, object: T): readonly T[] {
  const found = nameHashKey(object).flatMap((key) => informer.byIndex(BY_NAME_HASH, key))
  return found.filter(({ metadata }) => metadata.name !== object.metadata.name)
}

/** The name of an older object of the kind and namespace, where its hash is that of this one's name. */
export function olderNamesake<T extends AnyObject>(
  informer: Pick<Informer<T>, 'byIndex'>,
  object: T,
): string | undefined {
  return namesakesOf(informer, object).find((other) => isOlder(other, object))?.metadata.name
}

/** Made in the same second, the one whose name comes first counts as older. */
function isOlder({ metadata: a }: AnyObject, { metadata: b }: AnyObject): boolean {
  const order = (Date.parse(a.creationTimestamp ?? '') || 0) - (Date.parse(b.creationTimestamp ?? '') || 0)
  return order < 0 || (order === 0 && (a.name ?? '') < (b.name ?? ''))
}
