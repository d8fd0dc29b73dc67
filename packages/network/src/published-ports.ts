/** Ports of Pods that this machine's own programs reach on loopback: `hostPort`, which Pod Security allows few namespaces. */
import { isIPv4 } from 'node:net'
import type { PodObject } from '@caisson/client'
import type { PodAddress } from './network-gate.ts'
import type { LoopbackPort, LoopbackPorts } from './services/loopback-ports.ts'

export interface PublishedPorts {
  /** Rejects where a port is taken; then none of the Pod's is open, nor where it is closed meanwhile. */
  open(pod: PodObject, address: PodAddress): Promise<void>
  /** Of a Pod that runs already: what is taken is opened as soon as it is not. Never rejects. */
  adopt(pod: PodObject, address: PodAddress): Promise<void>
  close(uid: string): void
}

const LOOPBACK = '127.0.0.1'

export function publishedPorts(loopback: LoopbackPorts): PublishedPorts {
  const keysOf = new Map<string, string[]>()

  async function closeAll(uid: string): Promise<void> {
    const keys = keysOf.get(uid) ?? []
    keysOf.delete(uid)
    await Promise.all(keys.map((key) => loopback.close(key)))
  }

  return {
    async open(pod, { uid, ip }) {
      const wanted = wantedOf(pod, uid, ip)
      if (wanted.length === 0) return
      const keys: string[] = []
      keysOf.set(uid, keys)
      for (const { key, port } of wanted) {
        // Closed meanwhile.
        if (keysOf.get(uid) !== keys) return
        // Before it is open: what closes it then comes after that.
        keys.push(key)
        try {
          await loopback.open(key, port)
        } catch (error) {
          await closeAll(uid)
          const inUse = (error as NodeJS.ErrnoException).code === 'EADDRINUSE'
          throw inUse
            ? new Error(`port ${port.port} of ${port.address} is in use by another program`, { cause: error })
            : error
        }
      }
    },
    async adopt(pod, { uid, ip }) {
      const wanted = wantedOf(pod, uid, ip)
      if (wanted.length === 0) return
      keysOf.set(
        uid,
        wanted.map(({ key }) => key),
      )
      await Promise.all(wanted.map(({ key, port }) => loopback.keep(key, port)))
    },
    close: (uid) => void closeAll(uid),
  }
}

function wantedOf(pod: PodObject, uid: string, ip: string): Array<{ key: string; port: LoopbackPort }> {
  return portsOnLoopback(pod.spec).map(({ containerPort, ...place }) => ({
    key: `pod ${uid} ${place.address} ${place.protocol} ${place.port}`,
    port: { ...place, target: () => ({ ip, port: containerPort }) },
  }))
}

/** The ports of this machine's loopback that a Pod's containers ask for; others than TCP and UDP are nowhere. */
export function portsOnLoopback(
  spec: PodObject['spec'] | undefined,
): Array<Omit<LoopbackPort, 'target'> & { containerPort: number }> {
  return (spec?.containers ?? [])
    .flatMap(({ ports = [] }) => ports)
    .flatMap(({ hostPort, hostIP, containerPort, protocol = 'TCP' }) => {
      if (!hostPort || protocol === 'SCTP') return []
      // As in Kubernetes nothing has looked at it: a name that begins so would be somebody's to resolve.
      const address = hostIP?.startsWith('127.') && isIPv4(hostIP) ? hostIP : LOOPBACK
      return [{ protocol: protocol === 'UDP' ? 'udp' : 'tcp', address, port: hostPort, containerPort } as const]
    })
}
