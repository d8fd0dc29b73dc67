/** How many processes are executed in a sandbox at a time. */
import type { ProcessStreams } from '../runtime.ts'
import { RuntimeError } from '../runtime-error.ts'

/**
 * A process that is executed in a sandbox with a terminal costs the machine one of some 20 MB beside it, each of the others
 * three open files, which no limit of the sandbox counts.
 */
const EXECS_OF_A_SANDBOX = 64

/** Counts what is begun in a sandbox until it has ended. Rejects what is too much with a RuntimeError. */
export type ExecPlaces = (sandboxId: string, begin: () => Promise<ProcessStreams>) => Promise<ProcessStreams>

export function createExecPlaces(): ExecPlaces {
  const execs = new Map<string, number>()
  return async (sandboxId, begin) => {
    const before = execs.get(sandboxId) ?? 0
    if (before >= EXECS_OF_A_SANDBOX) {
      const many = `${EXECS_OF_A_SANDBOX} processes were executed in this sandbox and have not ended`
      throw new RuntimeError('failed', `${many}: wait for one of them, or end its client`)
    }
    execs.set(sandboxId, before + 1)
    const ended = (): void => {
      const left = (execs.get(sandboxId) ?? 1) - 1
      if (left === 0) execs.delete(sandboxId)
      else execs.set(sandboxId, left)
    }
    try {
      const streams = await begin()
      streams.exit.then(ended, ended)
      return streams
    } catch (error) {
      ended()
      throw error
    }
  }
}
