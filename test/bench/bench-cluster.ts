/** A cluster for a benchmark, which goes with it also where somebody ends the benchmark before it is done. */
import { constants } from 'node:os'
import { type Cluster, type StartOptions, startCluster } from '../e2e/fixture.ts'

export async function startBenchCluster(options: StartOptions = {}): Promise<Cluster> {
  const cluster = await startCluster(options)
  endOnSignal(() => cluster[Symbol.asyncDispose]())
  return cluster
}

const ends: Array<() => PromiseLike<void>> = []

/** Has something done on SIGTERM and SIGINT, what was asked for last first, before the process ends with the signal's code. */
export function endOnSignal(end: () => PromiseLike<void>): void {
  ends.push(end)
  if (ends.length > 1) return
  for (const signal of ['SIGTERM', 'SIGINT'] as const)
    process.once(signal, () => void endAll().finally(() => process.exit(128 + constants.signals[signal])))
}

async function endAll(): Promise<void> {
  for (const end of ends.reverse()) await Promise.resolve(end()).catch((error: unknown) => console.error(error))
}
