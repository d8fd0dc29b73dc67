/** When a cluster that a command started by itself has nothing left to do. */
import { startTimer } from '@caisson/api'
import { type AnyObject, type Informer, type PodObject, resources, sandboxes } from '@caisson/client'
import { waitsAtPort } from '@caisson/network'
import type { EmbeddedCluster } from './embedded-cluster.ts'

/**
 * Calls `end` when for so long no client was connected, every Pod had finished but those that are the cluster itself, and
 * no Sandbox slept behind a port that wakes it.
 */
export function watchIdleness(cluster: EmbeddedCluster, limitMs: number, end: () => void): Disposable {
  using stack = new DisposableStack()
  const busy = new Set<string>()
  let clients = 0
  let timer: Disposable | undefined
  stack.defer(() => timer?.[Symbol.dispose]())

  function look(): void {
    if (clients > 0 || busy.size > 0) {
      timer?.[Symbol.dispose]()
      timer = undefined
    } else {
      timer ??= startTimer(limitMs, end)
    }
  }
  function follow<T extends AnyObject>(informer: Informer<T>, isBusy: (object: T) => boolean): void {
    const tell = ({ metadata: { uid = '' } }: T, said: boolean): void => {
      if (said) busy.add(uid)
      else busy.delete(uid)
      look()
    }
    stack.use(
      informer.handle({
        added: (object) => tell(object, isBusy(object)),
        updated: (_old, object) => tell(object, isBusy(object)),
        deleted: (object) => tell(object, false),
      }),
    )
  }

  follow(cluster.informers.of(resources.pods), (pod) => !hasFinished(pod) && !cluster.isProcess(pod))
  follow(cluster.informers.of(sandboxes), waitsAtPort)
  stack.use(
    cluster.followClients((open) => {
      clients = open
      look()
    }),
  )
  const owned = stack.move()
  return { [Symbol.dispose]: () => owned.dispose() }
}

function hasFinished({ status }: PodObject): boolean {
  return status?.phase === 'Succeeded' || status?.phase === 'Failed'
}
