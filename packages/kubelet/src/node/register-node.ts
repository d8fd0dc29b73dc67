/** Makes this machine a node of the cluster, and goes on saying that it is alive. */
import { type Client, isAlreadyExists, isConflict, isNotFound, resources } from '@caisson/client'
import type { Pressure } from '../eviction/node-pressure.ts'
import { jsonEqual } from '../pods/json-equal.ts'
import { type NodeFacts, newNode, nodeLabels, nodeStatus } from './node-object.ts'

const LEASE_NAMESPACE = 'kube-node-lease'
const LEASE_SECONDS = 40
const RENEW_MS = 10_000
/** A status that says nothing new is repeated this seldom: the Lease is what says that the node lives. */
const STATUS_MS = 300_000

export interface RegisterNodeOptions {
  client: Client
  /** Looked at again before each status. */
  facts: () => Promise<Omit<NodeFacts, 'pressures'>>
  signal: AbortSignal
  now: () => number
  onError(error: unknown, where: string): void
}

export interface RegisteredNode extends AsyncDisposable {
  /** What the node is short of, from now on: nothing until this was said. Its status says so at once. */
  isShortOf(pressures: ReadonlySet<Pressure>): void
}

/** Resolves when the node is there with its first status. The heartbeat goes on until the signal, or until it is disposed. */
export async function registerNode(options: RegisterNodeOptions): Promise<RegisteredNode> {
  const { client, signal, now, onError } = options
  let pressures: ReadonlySet<Pressure> = new Set()
  const first = await look()
  await ensureNode(first)
  await writeStatus(first)
  await renewLease(first.name)
  let busy: Promise<void> = Promise.resolve()
  let statusAt = now()
  const heartbeat = setInterval(() => {
    busy = busy.then(beat)
  }, RENEW_MS)
  heartbeat.unref()
  const stop = () => clearInterval(heartbeat)
  signal.addEventListener('abort', stop, { once: true })

  async function look(): Promise<NodeFacts> {
    return { ...(await options.facts()), pressures }
  }

  async function beat(): Promise<void> {
    if (signal.aborted) return
    try {
      await renewLease(first.name)
      // Also where the clock was set back meanwhile.
      if (Math.abs(now() - statusAt) < STATUS_MS) return
      // Of before it was looked: what changes from then on is the next one's to say.
      statusAt = now()
      await writeStatus(await look())
    } catch (error) {
      statusAt = Number.NEGATIVE_INFINITY
      if (!signal.aborted) onError(error, 'node')
    }
  }

  async function ensureNode(facts: NodeFacts): Promise<void> {
    try {
      await client.create(resources.nodes, newNode(facts, now()), { signal })
    } catch (error) {
      if (!isAlreadyExists(error)) throw error
      // What no longer holds is taken away.
      const labels = { 'gvisor.enabled': null, ...nodeLabels(facts) }
      const metadata = { labels, ...(facts.own && { annotations: facts.own.annotations }) }
      await client.patch(resources.nodes, facts.name, { metadata }, { signal })
    }
  }

  async function writeStatus(facts: NodeFacts): Promise<void> {
    let current: Awaited<ReturnType<typeof client.get<NonNullable<typeof resources.nodes.object>>>>
    try {
      current = await client.get(resources.nodes, facts.name, { signal })
    } catch (error) {
      if (!isNotFound(error)) throw error
      return await ensureNode(facts)
    }
    const status = nodeStatus(facts, current.status, now())
    if (jsonEqual(status, current.status)) return
    await client.patchStatus(resources.nodes, facts.name, { status }, { signal, type: 'strategic' })
  }

  async function uidOfNode(name: string): Promise<string> {
    for (;;) {
      try {
        return (await client.get(resources.nodes, name, { signal })).metadata.uid ?? ''
      } catch (error) {
        if (!isNotFound(error)) throw error
        // Deleted by somebody, and the Lease with it; this machine is still here.
        await ensureNode(await look())
      }
    }
  }

  async function renewLease(name: string): Promise<void> {
    const spec = {
      holderIdentity: name,
      leaseDurationSeconds: LEASE_SECONDS,
      renewTime: new Date(now()).toISOString().replace('Z', '000Z'),
    }
    try {
      await client.patch(resources.leases, name, { spec }, { namespace: LEASE_NAMESPACE, signal })
    } catch (error) {
      if (!isNotFound(error)) throw error
      // Goes with the Node.
      const ownerReferences = [{ apiVersion: 'v1', kind: 'Node', name, uid: await uidOfNode(name) }]
      const lease = { metadata: { name, namespace: LEASE_NAMESPACE, ownerReferences }, spec }
      try {
        await client.create(resources.leases, lease, { namespace: LEASE_NAMESPACE, signal })
      } catch (failure) {
        // A cluster that has just begun may not have the namespace yet.
        if (!isAlreadyExists(failure) && !isConflict(failure) && !isNotFound(failure)) throw failure
      }
    }
  }

  return {
    isShortOf(found) {
      pressures = found
      statusAt = Number.NEGATIVE_INFINITY
      busy = busy.then(beat)
    },
    async [Symbol.asyncDispose]() {
      stop()
      signal.removeEventListener('abort', stop)
      await busy
    },
  }
}
