/** Ports of Pods that this machine's own programs reach on loopback: `hostPort`, which Pod Security allows few namespaces. */
import type { PodObject } from '@caisson/client'
import type { PodAddress } from './network-gate.ts'
import type { LoopbackPorts } from './services/loopback-ports.ts'

export interface PublishedPorts {
  /** Rejects where a port is taken; then none of the Pod's is open, nor where it is closed meanwhile. */
  open(pod: PodObject, address: PodAddress): Promise<void>
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
      const wanted = (pod.spec?.containers ?? [])
        .flatMap(({ ports = [] }) => ports)
        .flatMap(({ hostPort, hostIP, containerPort, protocol = 'TCP' }) =>
          hostPort && protocol !== 'SCTP'
            ? [{ hostPort, address: hostIP?.startsWith('127.') ? hostIP : LOOPBACK, containerPort, protocol }]
            : [],
        )
      if (wanted.length === 0) return
      const keys: string[] = []
      keysOf.set(uid, keys)
      for (const { hostPort, address, containerPort, protocol } of wanted) {
        // Closed meanwhile.
        if (keysOf.get(uid) !== keys) return
        const key = `pod ${uid} ${address} ${protocol} ${hostPort}`
        // Before it is open: what closes it then comes after that.
        keys.push(key)
        try {
          await loopback.open(key, {
            protocol: protocol === 'UDP' ? 'udp' : 'tcp',
            address,
            port: hostPort,
            target: () => ({ ip, port: containerPort }),
          })
        } catch (error) {
          await closeAll(uid)
          const inUse = (error as NodeJS.ErrnoException).code === 'EADDRINUSE'
          throw inUse
            ? new Error(`port ${hostPort} of ${address} is in use by another program`, { cause: error })
            : error
        }
      }
    },
    close: (uid) => void closeAll(uid),
  }
}
