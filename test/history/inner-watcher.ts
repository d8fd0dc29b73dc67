/** Watches inside the server's process, as the cluster's own controllers do, and tells whoever started it what came. */
import { setTimeout } from 'node:timers/promises'
import type { InProcessServer } from '../../packages/apiserver/src/index.ts'
import type { Random } from '../differential/script.ts'
import type { WatchEntry, Watching } from './history.ts'
import { type Kind, queryOf } from './kinds.ts'
import { chooseSelection } from './lister.ts'
import { entryOf, type WireEvent } from './watch-entry.ts'

/** What the process tells of its watches. */
export type Told =
  | { kind: 'began'; watch: number; head: Pick<Watching, 'client' | 'resource' | 'selection' | 'from'> }
  /** Its time is when it is heard of: the two processes have no clock in common. */
  | { kind: 'told'; watch: number; entry: WatchEntry }

export interface InnerWatcherOptions {
  server: InProcessServer
  kind: Kind
  random: Random
  tell(what: Told): void
}

let watches = 0

/** One watch after the other, with what there is first, and at times slow to take what comes. */
export async function runInnerWatcher({ server, kind, random, tell }: InnerWatcherOptions): Promise<never> {
  for (;;) {
    const watch = ++watches
    const selection = chooseSelection(kind, random)
    tell({
      kind: 'began',
      watch,
      head: { client: `inner-${watch}`, resource: kind.resource, selection, from: { initial: true, marked: true } },
    })
    const query = {
      ...queryOf(selection),
      sendInitialEvents: 'true',
      resourceVersionMatch: 'NotOlderThan',
      allowWatchBookmarks: 'true',
      timeoutSeconds: String(3 + random.integer(5)),
    }
    try {
      for await (const event of server.watch({ method: 'GET', path: kind.path(selection.namespace), query })) {
        tell({ kind: 'told', watch, entry: entryOf(event as unknown as WireEvent, kind, 0) })
        if (random.chance(0.005)) await setTimeout(random.integer(2000))
      }
    } catch {
      // The kind is not there yet.
      await setTimeout(50)
    }
  }
}
