import {
  type AnyObject,
  ApiError,
  abortableDelay,
  type Client,
  isExpired,
  isNotFound,
  isTransportError,
  type Resource,
  type ResourceEvent,
} from '@caisson/client'

export interface WatchNamedOptions<T> {
  namespace: string
  name: string
  signal: AbortSignal
  /** The object as it is known: what happened since is told. Left out, how it is now is told first. */
  known?: T
}

/** ms, before a server is asked again that has ended a watch in which nothing was said, or is away. */
const PAUSE_MS = 1_000
/** ms after which a server that was there and is away is not waited for any more: one that is started again is back by then. */
const PATIENCE_MS = 10_000

/**
 * Follows one object for as long as the caller likes: a server ends each of its watches after a while, and bookmarks tell a
 * quiet one from a dead one, and what stands between may cut one that is quiet. Where the server has forgotten what happened
 * since, how the object is now is told, or that it is gone.
 *
 * @throws what else goes wrong, a connection that does not come back included, and the signal's reason
 */
export async function* watchNamed<T extends AnyObject>(
  client: Client,
  resource: Resource<T>,
  { namespace, name, signal, known }: WatchNamedOptions<T>,
): AsyncGenerator<ResourceEvent<T>> {
  let resourceVersion = known?.metadata.resourceVersion ?? '0'
  let last = known
  /** Since when there is no connection, as `performance.now()` has it; undefined while there is one. */
  let awaySince: number | undefined
  let wasThere = known !== undefined
  const opened = (): void => {
    wasThere = true
    awaySince = undefined
  }
  while (!signal.aborted) {
    let silent = true
    try {
      for await (const event of watchFrom(resourceVersion)) {
        if (event.type === 'ERROR') throw new ApiError(event.object)
        silent = false
        opened()
        resourceVersion = event.object.metadata.resourceVersion ?? resourceVersion
        if (event.type !== 'BOOKMARK') last = event.object
        yield event
      }
    } catch (error) {
      if (wasThere && isTransportError(error, 'lost', 'silent', 'unreachable')) {
        awaySince ??= performance.now()
        if (performance.now() - awaySince > PATIENCE_MS) throw error
        await abortableDelay(PAUSE_MS, signal)
        continue
      }
      if (!isExpired(error)) throw error
      const found = await client.get(resource, name, { namespace, signal }).catch((failure: unknown) => {
        if (!isNotFound(failure)) throw failure
      })
      resourceVersion = found?.metadata.resourceVersion ?? '0'
      if (found) yield { type: 'MODIFIED', object: found }
      else if (last) yield { type: 'DELETED', object: last }
    }
    if (silent) await abortableDelay(PAUSE_MS, signal)
  }

  function watchFrom(version: string): AsyncIterable<ResourceEvent<T>> {
    return client.watch(resource, {
      namespace,
      fieldSelector: `metadata.name=${name}`,
      resourceVersion: version,
      allowWatchBookmarks: true,
      onOpen: opened,
      signal,
    })
  }
}
