/** Leader election by a Lease, as client-go does it: of several processes with the same duty one at a time has it. */
import type { Lease, LeaseSpec } from 'kubernetes-types/coordination/v1.d.ts'
import { ApiError, isAlreadyExists, isConflict, isNotFound } from './api-error.ts'
import type { Client } from './client.ts'
import { resources } from './core-resources.ts'
import { abortableDelay, withDeadline } from './delay.ts'
import type { Typed } from './resource.ts'

export interface LeaderElectionOptions {
  client: Client
  namespace: string
  /** Of the Lease. */
  name: string
  /** Of this process, different from all others': host name and a random part. */
  identity: string
  /**
   * The duty. Its signal is aborted when the leadership is lost or given up; the Lease is released, or contended for
   * again, only after this has ended. When it ends by itself the election is over.
   */
  lead: (signal: AbortSignal) => Promise<void>
  /** Gives the leadership up, and ends the election. */
  signal: AbortSignal
  /** ms after which others take a Lease that was not renewed; 15 s. */
  leaseDuration?: number
  /** ms after which a leader that could not renew stops leading; 10 s. Less than `leaseDuration`. */
  renewDeadline?: number
  /** ms between attempts; 2 s. */
  retryPeriod?: number
  /** Somebody else, or this process, holds the Lease now. */
  onLeader?: (identity: string) => void
  /** An attempt failed; the next one is on its way. */
  onError?: (error: unknown) => void
}

/** client-go's: those who wait try at different times, up to 2.2 periods apart. */
const JITTER = 1.2
const RELEASE_MS = 5_000

/** Resolves when the signal was aborted, or the duty ended, and the Lease is released. Rejects with what the duty threw. */
export async function runLeaderElection(options: LeaderElectionOptions): Promise<void> {
  const { leaseDuration = 15_000, renewDeadline = 10_000, retryPeriod = 2_000, signal } = options
  if (!(leaseDuration > renewDeadline && renewDeadline > retryPeriod * JITTER)) {
    throw new TypeError('a Lease needs leaseDuration > renewDeadline > 1.2 * retryPeriod')
  }
  const candidate = createCandidate({ ...options, leaseDuration })
  while (!signal.aborted) {
    const startedAt = performance.now()
    if (await withDeadline(renewDeadline, signal, candidate.tryToHold)) {
      if ((await leadFrom(startedAt)) === 'over') return
    } else await candidate.untilFree(retryPeriod * (1 + Math.random() * JITTER), signal)
  }

  /** @param since when the attempt began that made us the leader: the Lease may count from there */
  async function leadFrom(since: number): Promise<'over' | 'lost'> {
    const stop = new AbortController()
    const onAbort = () => stop.abort(signal.reason)
    signal.addEventListener('abort', onAbort, { once: true })
    if (signal.aborted) onAbort()
    const duty = options.lead(stop.signal).finally(() => stop.abort(new Error('the duty has ended')))
    // What it rejects with is thrown below, however much later that is.
    duty.catch(() => {})
    const lost = await renewUntil(stop.signal, since)
    if (lost) stop.abort(new Error('the leadership was lost'))
    signal.removeEventListener('abort', onAbort)
    // Whoever comes next may begin only when nothing of ours is under way any more.
    try {
      await duty
    } finally {
      if (!lost) await candidate.release()
    }
    return lost && !signal.aborted ? 'lost' : 'over'
  }

  /** Renews until told to stop (false), or until the Lease is not ours any more (true). */
  async function renewUntil(stop: AbortSignal, since: number): Promise<boolean> {
    let deadline = since + renewDeadline
    for (;;) {
      const left = deadline - performance.now()
      if (left <= 0) return true
      await abortableDelay(Math.min(retryPeriod, left), stop).catch(() => {})
      if (stop.aborted) return false
      const startedAt = performance.now()
      if (await withDeadline(deadline - startedAt, stop, candidate.tryToHold)) deadline = startedAt + renewDeadline
      else if (stop.aborted) return false
      else if (candidate.isTaken()) return true
    }
  }
}

interface Candidate {
  /** Takes the Lease where it is free, or renews it where it is ours. False where neither was possible. */
  tryToHold(signal: AbortSignal): Promise<boolean>
  /** Resolves when the Lease is let go or runs out, after `ms` or with the signal at the latest. Never rejects. */
  untilFree(ms: number, signal: AbortSignal): Promise<void>
  /** The last we saw is that somebody else holds it. */
  isTaken(): boolean
  /** Lets others take it at once. Never rejects. */
  release(): Promise<void>
}

function createCandidate(options: LeaderElectionOptions & { leaseDuration: number }): Candidate {
  const { client, namespace, name, identity, leaseDuration } = options
  const seconds = Math.ceil(leaseDuration / 1000)
  let known: Typed<Lease> | undefined
  /** When `known` was first seen, by our own clock: those of other machines say nothing. */
  let knownAt = 0
  let leader: string | undefined

  function learn(lease: Typed<Lease>): void {
    // Only its content counts: an update that changed nothing is no sign of life.
    if (JSON.stringify(lease.spec) !== JSON.stringify(known?.spec)) knownAt = performance.now()
    known = lease
    const holder = lease.spec?.holderIdentity ?? ''
    if (holder === leader) return
    leader = holder
    if (holder) options.onLeader?.(holder)
  }

  /** ms that somebody else may still count on it; 0 where nobody may. */
  function heldByOther(): number {
    const spec = known?.spec
    if (!spec?.holderIdentity || spec.holderIdentity === identity) return 0
    return Math.max(0, knownAt + (spec.leaseDurationSeconds ?? 0) * 1000 - performance.now())
  }

  /**
   * Ends when the Lease is free. Also learns of each renewal as it happens: whoever only looks now and then counts the
   * holder's time from when it looked, and takes over that much later.
   */
  async function follow(signal: AbortSignal): Promise<void> {
    const watch = client.watch(resources.leases, {
      namespace,
      fieldSelector: `metadata.name=${name}`,
      ...(known?.metadata.resourceVersion && { resourceVersion: known.metadata.resourceVersion }),
      signal,
    })
    for await (const event of watch) {
      if (event.type === 'DELETED') return
      if (event.type === 'ERROR') throw new ApiError(event.object)
      learn(event.object)
      if (heldByOther() === 0) return
    }
    throw new Error('the server has ended the watch')
  }

  function nextSpec(): LeaseSpec {
    const now = microTime()
    const before = known?.spec
    const mine = before?.holderIdentity === identity
    return {
      holderIdentity: identity,
      leaseDurationSeconds: seconds,
      acquireTime: mine ? (before.acquireTime ?? now) : now,
      renewTime: now,
      leaseTransitions: (before?.leaseTransitions ?? 0) + (mine || !before ? 0 : 1),
    }
  }

  async function tryToHold(signal: AbortSignal): Promise<boolean> {
    try {
      // A leader writes over what it wrote last, and looks only when that fails.
      if (known?.spec?.holderIdentity !== identity) known = await look(signal)
      if (heldByOther() > 0) return false
      const metadata = { ...known?.metadata, name, namespace }
      const lease = { metadata, spec: nextSpec() }
      learn(
        known
          ? await client.update(resources.leases, lease, { signal })
          : await client.create(resources.leases, lease, { signal }),
      )
      return true
    } catch (error) {
      // Where there is none to write over, it is the namespace that was not found.
      if (isConflict(error) || isAlreadyExists(error) || (known && isNotFound(error))) {
        known = await look(signal).catch(() => undefined)
      } else if (!options.signal.aborted) options.onError?.(error)
      return false
    }
  }

  async function look(signal: AbortSignal): Promise<Typed<Lease> | undefined> {
    try {
      const lease = await client.get(resources.leases, name, { namespace, signal })
      learn(lease)
      return lease
    } catch (error) {
      if (isNotFound(error)) return undefined
      throw error
    }
  }

  return {
    tryToHold,
    async untilFree(ms, signal) {
      const held = heldByOther()
      const until = performance.now() + (held > 0 ? Math.min(ms, held) : ms)
      // Without a Lease of somebody else's there is nothing to follow: the last attempt has failed.
      if (
        held > 0 &&
        (await withDeadline(until - performance.now(), signal, follow).then(
          () => true,
          () => false,
        ))
      )
        return
      await abortableDelay(Math.max(0, until - performance.now()), signal).catch(() => {})
    },
    isTaken: () => known !== undefined && known.spec?.holderIdentity !== identity,
    async release() {
      if (known?.spec?.holderIdentity !== identity) return
      const now = microTime()
      const spec = { ...known.spec, holderIdentity: '', leaseDurationSeconds: 1, renewTime: now, acquireTime: now }
      try {
        await client.update(
          resources.leases,
          { metadata: { ...known.metadata }, spec },
          { signal: AbortSignal.timeout(RELEASE_MS) },
        )
      } catch (error) {
        // It expires by itself.
        options.onError?.(error)
      }
    },
  }
}

/** `metav1.MicroTime`. */
function microTime(): string {
  return new Date().toISOString().replace('Z', '000Z')
}
