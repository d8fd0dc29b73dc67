/** Connections to ports of Pods. */
import { connect, type Socket } from 'node:net'
import { setTimeout as delay } from 'node:timers/promises'

export interface DialOptions {
  /** Further attempts, where nobody answers: a server may not have begun to listen yet. */
  retries: number
  /** ms before the first of them, twice as long before each next one, up to `longestDelayMs`. */
  firstDelayMs: number
  longestDelayMs: number
  /** ms that one attempt may take. */
  timeoutMs: number
  signal: AbortSignal
  onRetry?(): void
}

/** Connects. Nothing was sent when it fails, so that trying again repeats nothing. Rejects with the last attempt's error. */
export async function dial(ip: string, port: number, options: DialOptions): Promise<Socket> {
  let pause = options.firstDelayMs
  for (let attempt = 0; ; attempt++) {
    try {
      return await dialOnce(ip, port, options)
    } catch (error) {
      if (options.signal.aborted || attempt >= options.retries) throw error
    }
    options.onRetry?.()
    await delay(pause, undefined, { signal: options.signal })
    pause = Math.min(pause * 2, options.longestDelayMs)
  }
}

async function dialOnce(ip: string, port: number, { timeoutMs, signal }: DialOptions): Promise<Socket> {
  signal.throwIfAborted()
  const socket = connect({ host: ip, port, noDelay: true, allowHalfOpen: true })
  const { promise, resolve, reject } = Promise.withResolvers<Socket>()
  const timer = setTimeout(() => socket.destroy(new Error(`${ip}:${port} does not answer`)), timeoutMs)
  const abort = (): void => void socket.destroy(signal.reason as Error)
  signal.addEventListener('abort', abort, { once: true })
  socket.once('error', reject).once('connect', () => resolve(socket))
  try {
    return await promise
  } finally {
    clearTimeout(timer)
    signal.removeEventListener('abort', abort)
    socket.off('error', reject)
    // From here on its user listens; until then an error must not end the process.
    socket.on('error', () => {})
  }
}
