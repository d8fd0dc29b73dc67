/** The container that a probe or a lifecycle hook speaks to. */
import { connect } from 'node:net'
import type { Duplex } from 'node:stream'
import type { Runtime } from '@caisson/runtime'
import type { Container } from 'kubernetes-types/core/v1.d.ts'

export interface ProbeTarget {
  runtime: Pick<Runtime, 'exec' | 'connect'>
  container: Container
  /** Of the runtime. */
  containerId: string
  sandboxId: string
  /** Undefined where the Pod has no network: its own loopback is all that there is to ask. */
  podIp: string | undefined
  /** The address of this machine to ask from; any where it is not given. */
  from?: string | undefined
  /** Aborted when nobody wants to know any more. */
  over?: AbortSignal
}

export type DialedPod = Pick<ProbeTarget, 'sandboxId' | 'podIp' | 'from'> & { runtime: Pick<Runtime, 'connect'> }

/** No probe waits longer, whatever it asks for: somebody else needs what it holds. */
const LONGEST_MS = 600_000

/** Aborted after so long, or when nobody wants to know any more. */
export function deadline({ over }: ProbeTarget, timeoutMs: number): AbortSignal {
  const timeout = AbortSignal.timeout(Math.min(timeoutMs, LONGEST_MS))
  return over ? AbortSignal.any([over, timeout]) : timeout
}

/** Throws where the container has no port of that name. */
export function portNumber({ container }: ProbeTarget, port: number | string): number {
  if (typeof port === 'number') return port
  const named = container.ports?.find(({ name }) => name === port)?.containerPort ?? Number(port)
  if (!Number.isInteger(named) || named < 1 || named > 65_535) {
    throw new Error(`container ${JSON.stringify(container.name)} has no port named ${JSON.stringify(port)}`)
  }
  return named
}

/**
 * A tenant writes probes, and the node carries them out: it asks the Pod itself and nobody else, or a manifest could
 * look for what listens on the node and behind it.
 * Throws where another host is named.
 */
export function refuseOtherHost({ podIp }: ProbeTarget, host: string | undefined): void {
  if (!host || host === podIp) return
  throw new Error(
    `host ${JSON.stringify(host)} is not the Pod's own address: remove it, probes and hooks go to the Pod`,
  )
}

/** A connection to a port of the Pod. Rejects with the system's error, or with the signal's reason. */
export async function dial(
  { runtime, sandboxId, podIp, from }: DialedPod,
  port: number,
  signal: AbortSignal,
): Promise<Duplex> {
  signal.throwIfAborted()
  if (podIp === undefined) return await runtime.connect(sandboxId, port, signal)
  return await new Promise((resolve, reject) => {
    const socket = connect({ host: podIp, port, signal, ...(from !== undefined && { localAddress: from }) })
    socket.once('connect', () => {
      socket.off('error', reject)
      // From here on an end of any kind is the caller's to see: as a close.
      socket.on('error', () => {})
      resolve(socket)
    })
    socket.once('error', reject)
  })
}

/** What Go's dialer says where ours fails. */
export function dialFailure({ podIp }: Pick<DialedPod, 'podIp'>, port: number, error: unknown): string {
  const at = `${podIp ?? '127.0.0.1'}:${port}`
  switch ((error as NodeJS.ErrnoException).code) {
    case 'ECONNREFUSED':
      return `dial tcp ${at}: connect: connection refused`
    case 'EHOSTUNREACH':
      return `dial tcp ${at}: connect: no route to host`
    case 'ABORT_ERR':
      return `dial tcp ${at}: i/o timeout`
    default:
      return `dial tcp ${at}: ${(error as Error).message}`
  }
}
