import { readFile } from 'node:fs/promises'
import { connect, type Socket } from 'node:net'

/**
 * The control socket of a sentry: one JSON object a call, one back. It is what `runsc kill` and `runsc wait` use, without
 * the 20 ms and 20 MB that starting such a process costs. It is no published interface, so every caller has the command
 * as second way.
 */
export class SentryControlError extends Error {
  override readonly name = 'SentryControlError'
  /** True where the sentry closed the connection without an answer: it ended. */
  readonly hungUp: boolean
  constructor(message: string, hungUp: boolean) {
    super(message)
    this.hungUp = hungUp
  }
}

/** Whom a signal is for, in the sentry's numbering. */
export const DELIVER_TO = { process: 0, allProcesses: 1, processGroup: 3 } as const

export interface SentrySignal {
  containerId: string
  signal: number
  /** In the container's own numbering; 0 means its first process. */
  pid: number
  to: keyof typeof DELIVER_TO
}

/** Resolves with the wait status once the container has ended, at once where it has already. */
export async function waitForContainer(stateFile: string, containerId: string): Promise<number> {
  const result = await call(stateFile, 'containerManager.Wait', containerId)
  if (typeof result !== 'number') throw new SentryControlError('the sentry answered Wait without a status', false)
  return result
}

export async function signalContainer(
  stateFile: string,
  { containerId, signal, pid, to }: SentrySignal,
): Promise<void> {
  await call(stateFile, 'containerManager.Signal', { CID: containerId, Signo: signal, PID: pid, Mode: DELIVER_TO[to] })
}

async function call(stateFile: string, method: string, arg: unknown): Promise<unknown> {
  const socket = connect(await controlSocket(stateFile))
  try {
    return await roundTrip(socket, JSON.stringify({ method, arg }))
  } finally {
    socket.destroy()
  }
}

async function controlSocket(stateFile: string): Promise<string> {
  const state = JSON.parse(await readFile(stateFile, 'utf8')) as { sandbox?: { controlSocketPath?: string } }
  const path = state.sandbox?.controlSocketPath
  if (!path?.startsWith('/')) throw new SentryControlError('the state of the sentry names no control socket', false)
  return path
}

function roundTrip(socket: Socket, request: string): Promise<unknown> {
  const { promise, resolve, reject } = Promise.withResolvers<unknown>()
  let answer = ''
  socket.setEncoding('utf8').on('data', (text: string) => {
    answer += text
    const parsed = parseAnswer(answer)
    if (!parsed) return
    if (parsed.success) resolve(parsed.result)
    else reject(new SentryControlError(parsed.err ?? 'the sentry refused', false))
  })
  socket.on('error', (cause) => reject(new SentryControlError(cause.message, true)))
  socket.on('close', () => reject(new SentryControlError('the sentry closed its control socket', true)))
  socket.write(request)
  return promise
}

interface ControlAnswer {
  success: boolean
  err?: string
  result?: unknown
}

/** There is no frame around an answer: it is whole when it parses. */
function parseAnswer(text: string): ControlAnswer | undefined {
  try {
    return JSON.parse(text) as ControlAnswer
  } catch {
    return undefined
  }
}
