/** Connections to the ports of Pods of this node, for requests that the API server passes on. */
import type { Duplex } from 'node:stream'
import type { ProxiedPort } from '@caisson/api'
import type { Runtime, Sandbox } from '@caisson/runtime'
import { dial, dialFailure } from '../probes/probe-target.ts'
import type { ServedPod } from './served-pod.ts'

/** Who does not accept a connection in so long will not. */
const DIAL_MS = 30_000

export interface PodDialerOptions {
  pods: {
    /** Undefined where this node does not run such a Pod. */
    find(namespace: string, name: string): ServedPod | undefined
  }
  runtime: Pick<Runtime, 'connect'> & { get(sandboxId: string): Promise<Pick<Sandbox, 'ip'> | undefined> }
  /** Somebody is connected to the Pod until this is disposed. */
  connected?: (uid: string) => Disposable
}

/** As probes are: at the Pod's address, and where it has no network, on its loopback. */
export type DialPod = (target: ProxiedPort, signal: AbortSignal) => Promise<Duplex>

export function createPodDialer(options: PodDialerOptions): DialPod {
  async function dialPod({ namespace, name, uid, port }: ProxiedPort, signal: AbortSignal): Promise<Duplex> {
    const pod = options.pods.find(namespace, name)
    if (!pod || pod.uid !== uid) throw new Error(`pod "${name}" does not run on its node`)
    const counted = options.connected?.(uid)
    try {
      const connection = await connectionTo(pod, port, signal)
      connection.once('close', () => counted?.[Symbol.dispose]())
      return connection
    } catch (error) {
      counted?.[Symbol.dispose]()
      throw error
    }
  }

  async function connectionTo(pod: ServedPod, port: number, signal: AbortSignal): Promise<Duplex> {
    // Whoever speaks to these may do more than see them.
    if (pod.connect) throw new Error(`pod "${pod.name}" is a process of the cluster: port-forward leads to it`)
    const { runtime } = options
    const { sandboxId } = pod
    const sandbox = sandboxId === undefined ? undefined : await runtime.get(sandboxId)
    if (sandboxId === undefined || !sandbox) throw new Error(`nothing runs in pod "${pod.name}"`)
    const place = { runtime, sandboxId, podIp: sandbox.ip }
    // Not one that goes on: the signal ends the connection, too.
    const limit = new AbortController()
    const timer = setTimeout(() => limit.abort(), DIAL_MS)
    try {
      return await dial(place, port, AbortSignal.any([signal, limit.signal]))
    } catch (error) {
      throw new Error(dialFailure(place, port, error), { cause: error })
    } finally {
      clearTimeout(timer)
    }
  }

  return dialPod
}
