/** When a cluster that a command started by itself has nothing left to do. */
import { startTimer } from '@caisson/api'
import { type PodObject, resources } from '@caisson/client'
import type { EmbeddedCluster } from './embedded-cluster.ts'

/** Calls `end` when for so long no client was connected and every Pod had finished but those that are the cluster itself. */
export function watchIdleness(cluster: EmbeddedCluster, limitMs: number, end: () => void): Disposable {
  using stack = new DisposableStack()
  const pods = cluster.informers.of(resources.pods)
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
  function seen(pod: PodObject): void {
    const { uid = '' } = pod.metadata
    if (hasFinished(pod) || cluster.isProcess(pod)) busy.delete(uid)
    else busy.add(uid)
    look()
  }

  stack.use(
    pods.handle({
      added: seen,
      updated: (_old, pod) => seen(pod),
      deleted({ metadata: { uid = '' } }) {
        busy.delete(uid)
        look()
      },
    }),
  )
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
