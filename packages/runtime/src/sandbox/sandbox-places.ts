/** How much is under way in a sandbox at a time of what costs this machine something that no limit of the sandbox counts. */
import type { Duplex } from 'node:stream'
import type { ProcessStreams } from '../runtime.ts'
import { RuntimeError } from '../runtime-error.ts'

/**
 * A process that is executed in a sandbox with a terminal costs the machine one of some 20 MB beside it, each of the others
 * three open files.
 */
const EXECS_OF_A_SANDBOX = 64
/** One to its loopback costs the machine a process as well, for a sentry one of some 20 MB. */
const CONNECTIONS_OF_A_SANDBOX = 64

/** Counts what is begun in a sandbox until it has ended. Rejects what is too much with a RuntimeError. */
export type Places<T> = (sandboxId: string, begin: () => Promise<T>) => Promise<T>

export function createExecPlaces(): Places<ProcessStreams> {
  const many = `${EXECS_OF_A_SANDBOX} processes were executed in this sandbox and have not ended`
  return createPlaces({
    most: EXECS_OF_A_SANDBOX,
    refusal: `${many}: wait for one of them, or end its client`,
    whenEnded: (streams, ended) => void streams.exit.then(ended, ended),
  })
}

export function createConnectionPlaces(): Places<Duplex> {
  return createPlaces({
    most: CONNECTIONS_OF_A_SANDBOX,
    refusal: `${CONNECTIONS_OF_A_SANDBOX} connections to the loopback of this sandbox are open: close one of them`,
    whenEnded(connection, ended) {
      // Nobody may have listened, which can have closed it by now.
      if (connection.closed) ended()
      else connection.once('close', ended)
    },
  })
}

interface PlacesOptions<T> {
  /** Of one sandbox. */
  most: number
  refusal: string
  /** Calls back once, when what was begun is over. */
  whenEnded(begun: T, ended: () => void): void
}

function createPlaces<T>({ most, refusal, whenEnded }: PlacesOptions<T>): Places<T> {
  const taken = new Map<string, number>()
  return async (sandboxId, begin) => {
    const before = taken.get(sandboxId) ?? 0
    // Not `network`, which says that nobody listens: it would be tried elsewhere.
    if (before >= most) throw new RuntimeError('failed', refusal)
    taken.set(sandboxId, before + 1)
    const ended = (): void => {
      const left = (taken.get(sandboxId) ?? 1) - 1
      if (left === 0) taken.delete(sandboxId)
      else taken.set(sandboxId, left)
    }
    try {
      const begun = await begin()
      whenEnded(begun, ended)
      return begun
    } catch (error) {
      ended()
      throw error
    }
  }
}
