import type { AnyObject, Client, Resource, ResourceEvent } from '@caisson/client'

/**
 * Follows one object, from how it is now, for as long as the caller likes: a server ends each of its watches after a
 * while, and bookmarks tell a quiet one from a dead one.
 */
export async function* watchNamed<T extends AnyObject>(
  client: Client,
  resource: Resource<T>,
  { namespace, name, signal }: { namespace: string; name: string; signal: AbortSignal },
): AsyncGenerator<ResourceEvent<T>> {
  let resourceVersion = '0'
  while (!signal.aborted) {
    const events = client.watch(resource, {
      namespace,
      fieldSelector: `metadata.name=${name}`,
      resourceVersion,
      allowWatchBookmarks: true,
      signal,
    })
    for await (const event of events) {
      resourceVersion = event.object.metadata.resourceVersion ?? resourceVersion
      yield event
    }
  }
}
