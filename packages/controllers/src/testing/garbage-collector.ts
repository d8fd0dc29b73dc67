/** A garbage collector, as far as the controllers' tests need one: what has lost its owner goes at once. */
import {
  type AnyObject,
  type Client,
  createInformers,
  createWorkqueue,
  isConflict,
  isNotFound,
  type Resource,
} from '@caisson/client'
import { sameJson } from '../engine/json-difference.ts'

/** Of the objects of these kinds in one namespace, each owned by some of these kinds or by nobody. */
export async function startGarbageCollector(
  client: Client,
  namespace: string,
  kinds: readonly Resource[],
): Promise<AsyncDisposable> {
  const stack = new AsyncDisposableStack()
  const informers = stack.use(createInformers(client))
  const followed = kinds.map((kind) => informers.of<AnyObject>(kind, kind.namespaced ? { namespace } : {}))
  await informers.synced()
  const all = (): AnyObject[] => followed.flatMap((informer) => [...informer.list()])

  // A child is looked at when it comes or gets another owner, and when its owner goes: either may be the later.
  const queue = stack.use(
    createWorkqueue({
      async process(uid) {
        const child = all().find(({ metadata }) => metadata.uid === uid)
        const owners = child?.metadata.ownerReferences ?? []
        if (!child || owners.length === 0) return
        const found = await Promise.all(
          owners.map(async (owner) => (await uidOf(owner.kind, owner.name)) === owner.uid),
        )
        if (found.every(Boolean)) return
        const kind = kinds.find((each) => each.kind === child.kind) as Resource
        const preconditions = { uid }
        const options = { namespace, gracePeriodSeconds: 0, preconditions }
        try {
          if (found.some(Boolean)) {
            const ownerReferences = owners.filter((_owner, index) => found[index])
            const metadata = { uid, ownerReferences, resourceVersion: child.metadata.resourceVersion ?? '' }
            await client.patch<AnyObject>(kind, child.metadata.name ?? '', { metadata }, { namespace })
            return
          }
          await client.delete<AnyObject>(kind, child.metadata.name ?? '', options)
        } catch (error) {
          if (!isNotFound(error) && !isConflict(error)) throw error
        }
      },
    }),
  )
  async function uidOf(kind: string, name: string): Promise<string | undefined> {
    const resource = kinds.find((each) => each.kind === kind)
    if (!resource) return undefined
    try {
      return (await client.get(resource, name, resource.namespaced ? { namespace } : {})).metadata.uid
    } catch (error) {
      if (isNotFound(error)) return undefined
      throw error
    }
  }
  const look = ({ metadata }: AnyObject): void => queue.add(metadata.uid ?? '')
  for (const informer of followed) {
    stack.use(
      informer.handle({
        added: look,
        updated(old, object) {
          if (!sameJson(old.metadata.ownerReferences, object.metadata.ownerReferences)) look(object)
        },
        deleted({ metadata }) {
          for (const child of all())
            if (child.metadata.ownerReferences?.some(({ uid }) => uid === metadata.uid)) look(child)
        },
      }),
    )
  }
  return stack
}
