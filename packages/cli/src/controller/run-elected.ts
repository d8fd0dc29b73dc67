/** Works while this process holds the Lease, or, where it is one of several shards, that of its shard. */

import { randomUUID } from 'node:crypto'
import { hostname } from 'node:os'
import { CONTROLLER_LEASE, CONTROLLER_NAME } from '@caisson/api'
import {
  type Client,
  type ClusterConnection,
  createClient,
  createHttpTransport,
  createInformer,
  resources,
  runLeaderElection,
  type Transport,
} from '@caisson/client'
import type { ControllerLog } from '@caisson/controllers'
import type { Shard } from './work-scope.ts'

/** A Lease that is renewed every two seconds runs out after fifteen. */
const PATIENCE_MS = 4000

export interface ElectionOptions {
  connection: ClusterConnection
  /** Of the Lease. */
  namespace: string
  shard: Shard | undefined
  log: ControllerLog
  leads(lease: string, leads: boolean): void
  stopping: AbortSignal
  onError(error: unknown): void
  /** Takes what says why this process is not ready while it waits. */
  stateProblem(problem: () => string | undefined): void
  work(signal: AbortSignal): Promise<void>
}

/** Resolves when it was told to stop, what it was at has ended, and the Lease is released. */
export async function runElected(options: ElectionOptions): Promise<void> {
  const { connection, namespace, shard, log, leads, stopping, onError } = options
  const lease = shard && shard.index > 0 ? `${CONTROLLER_LEASE}-${shard.index}` : CONTROLLER_LEASE
  const identity = `${hostname()}_${randomUUID()}${shard ? shardSuffix(shard.count) : ''}`
  // Of its own: no queue of requests may cost the leadership.
  await using transport = createHttpTransport(connection, { connections: 2 })
  const asked = reachable(transport)
  const client = createClient(asked.transport, { fieldManager: CONTROLLER_NAME })
  options.stateProblem(() => (asked.reached() ? undefined : 'the Lease cannot be read'))
  log.said(`Waiting for the Lease ${namespace}/${lease} as ${identity}`)
  leads(lease, false)

  /** Whoever works instead does so already: nothing of ours may be written any more. */
  function endNow(message: string): void {
    if (stopping.aborted) return
    log.failed('leader election', message)
    process.exit(1)
  }

  await runLeaderElection({
    client,
    namespace,
    name: lease,
    identity,
    signal: stopping,
    onLeader: (leader) => log.said(leader === identity ? 'This process leads' : `${leader} leads`),
    onError,
    async lead(signal) {
      const onAbort = (): void => endNow('the Lease was lost')
      signal.addEventListener('abort', onAbort)
      leads(lease, true)
      try {
        await using others =
          shard && shard.index > 0 ? followFirst(client, { namespace, count: shard.count }) : undefined
        await others?.agree(signal)
        others?.onDisagreement((holder) =>
          endNow(`${holder} has the first Lease and is not one of ${shard?.count} shards`),
        )
        if (!signal.aborted) await options.work(signal)
      } finally {
        signal.removeEventListener('abort', onAbort)
        leads(lease, false)
      }
    },
  })
}

function shardSuffix(count: number): string {
  return `_1-of-${count}-shards`
}

interface FirstShard extends AsyncDisposable {
  /** Resolves when the first Lease is nobody's, or that of one of as many shards; and when the signal is aborted. */
  agree(signal: AbortSignal): Promise<void>
  onDisagreement(call: (holder: string) => void): void
}

/**
 * A process that is not one of several shards works on every namespace, as does agent-sandbox's controller: the shards
 * beside the first have to heed the Lease that such a one takes.
 */
function followFirst(client: Client, { namespace, count }: { namespace: string; count: number }): FirstShard {
  const leases = createInformer(client, resources.leases, {
    namespace,
    fieldSelector: `metadata.name=${CONTROLLER_LEASE}`,
  })
  const stranger = (): string | undefined => {
    const holder = leases.get(`${namespace}/${CONTROLLER_LEASE}`)?.spec?.holderIdentity
    return holder && !holder.endsWith(shardSuffix(count)) ? holder : undefined
  }
  return {
    async agree(signal) {
      await leases.synced(signal).catch(() => undefined)
      const agreed = Promise.withResolvers<void>()
      const look = (): void => {
        if (signal.aborted || stranger() === undefined) agreed.resolve()
      }
      using _handled = leases.handle({ added: look, updated: look, deleted: look })
      signal.addEventListener('abort', look)
      look()
      await agreed.promise
      signal.removeEventListener('abort', look)
    },
    onDisagreement(call) {
      const look = (): void => {
        const holder = stranger()
        if (holder !== undefined) call(holder)
      }
      leases.handle({ added: look, updated: look })
    },
    [Symbol.asyncDispose]: () => leases[Symbol.asyncDispose](),
  }
}

/** Remembers whether the last request was answered; one that has waited for `PATIENCE_MS` counts as one that was not. */
function reachable(transport: Transport): { transport: Transport; reached(): boolean } {
  let reached = false
  let askedAt = Number.POSITIVE_INFINITY
  return {
    reached: () => reached && performance.now() - askedAt < PATIENCE_MS,
    transport: {
      ...transport,
      async request(request) {
        askedAt = performance.now()
        try {
          const answer = await transport.request(request)
          reached = answer.status < 400 || (answer.status === 404 && request.method === 'GET') || answer.status === 409
          return answer
        } catch (error) {
          reached = false
          throw error
        } finally {
          askedAt = Number.POSITIVE_INFINITY
        }
      },
    },
  }
}
