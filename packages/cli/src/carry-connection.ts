import type { Socket } from 'node:net'
import { type Client, forwardPort } from '@caisson/client'
import { say } from './terminal-text.ts'

export interface CarryOptions {
  pod: string
  namespace: string
  port: number
  /** Ends it. */
  signal: AbortSignal
}

/**
 * Carries a connection to a port of a Pod, which has its other end once ours is closed. Never rejects: what goes wrong is
 * said, and ends this connection alone.
 */
export async function carryConnection(
  client: Client,
  local: Socket,
  { pod, namespace, port, signal }: CarryOptions,
): Promise<void> {
  const closed = new AbortController()
  const failed = (error: Error): void => {
    if (!signal.aborted && !closed.signal.aborted) say(`port ${port} of ${pod}: ${error.message}`)
    local.destroy()
  }
  local.on('error', () => local.destroy())
  // Also while the other end is only asked for: nobody else would ever close it.
  local.on('close', () => closed.abort())
  try {
    const remote = await forwardPort(client, pod, {
      namespace,
      port,
      signal: AbortSignal.any([signal, closed.signal]),
    })
    remote.on('error', failed)
    // The protocol cannot say that one side alone has ended.
    remote.on('close', () => local.destroy())
    local.pipe(remote).pipe(local)
  } catch (error) {
    failed(error as Error)
  }
}
