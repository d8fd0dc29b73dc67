/**
 * Decodes and encodes YAML on a thread of its own, which is begun for the first of it. The parser takes about two
 * milliseconds for a kilobyte and the writer one for two or three, so that a body of the largest size, or the list of a few
 * thousand objects, would hold the event loop, and with it everybody, for seconds.
 */
import { Worker } from 'node:worker_threads'
import { createFairQueue, type Taken } from '../fair-queue.ts'
import { StatusError } from '../status-error.ts'
import { createSums } from '../sums.ts'
import type { DecodedYaml } from './decode-yaml.ts'
import { tooManyRequests } from './in-flight.ts'
import type { YamlAnswer, YamlTask } from './yaml-worker.ts'

/** What one body may take. */
export interface YamlLimits {
  ms: number
  memoryMb: number
}

/** The largest that is well meant takes a few seconds of a busy machine. */
const YAML_LIMITS: YamlLimits = { ms: 20_000, memoryMb: 512 }

export const TOO_LONG_FOR_YAML = 'the answer takes too much to encode as YAML: ask for JSON'

export interface YamlThread {
  /**
   * One at a time, in the order of the calls of each share and fair between shares. Throws what `decodeYaml` throws, or a
   * StatusError where it takes too much.
   *
   * @param share whom it is for
   */
  decode(text: string, share: string): Promise<DecodedYaml>
  /**
   * In turn with what is decoded.
   *
   * @param json asked for when it is its turn, since a list is many megabytes; what it throws is thrown
   * @throws StatusError where it takes too much, or too much waits for the share already
   */
  encode(json: () => string, share: string): Promise<string>
}

interface Job {
  from: YamlTask['from']
  text: () => string
  share: string
  done: PromiseWithResolvers<string>
}

/** Of one share: as many as it may have requests, since one that has hung up may have left another behind. */
const MOST_WAITING = 200

export function createYamlThread({ ms, memoryMb }: YamlLimits = YAML_LIMITS): YamlThread {
  const waiting = createFairQueue<Job>()
  const unfinished = createSums()
  let worker: Worker | undefined
  let running: { job: Job; end(): void } | undefined

  function next(): void {
    while (!running) {
      const taken = waiting.take()
      // An idle thread keeps no process alive.
      if (!taken) {
        worker?.unref()
        return
      }
      begin(taken)
    }
  }

  function begin({ item: job, done }: Taken<Job>): void {
    const begun = performance.now()
    let text: string
    try {
      text = job.text()
      worker ??= start()
    } catch (error) {
      done(performance.now() - begun)
      job.done.reject(error)
      return
    }
    worker.ref()
    const deadline = setTimeout(giveUp, ms)
    running = {
      job,
      end() {
        clearTimeout(deadline)
        done(performance.now() - begun)
      },
    }
    worker.postMessage({ from: job.from, text } satisfies YamlTask)
  }

  function start(): Worker {
    const started = newWorker()
    started.on('message', (answer: YamlAnswer) => {
      if (worker === started) finish((job) => settle(job, answer))
    })
    started.on('error', () => undefined)
    // One that ends by itself has run out of memory.
    started.on('exit', () => {
      if (worker === started) giveUp()
    })
    return started
  }

  function newWorker(): Worker {
    try {
      return new Worker(new URL('./yaml-worker.ts', import.meta.url), {
        resourceLimits: { maxOldGenerationSizeMb: memoryMb },
        // What this process was started with (an inspector, a test runner) is not for the thread.
        execArgv: [],
      })
    } catch (error) {
      // A machine may have no room for another thread just now.
      throw new StatusError(
        'ServiceUnavailable',
        `YAML cannot be read or written just now (${(error as Error).message}): use JSON`,
      )
    }
  }

  /** Whatever the thread still says is of no job that runs after this. */
  function giveUp(): void {
    void worker?.terminate()
    worker = undefined
    finish(({ from, done }) => {
      done.reject(
        new StatusError(
          'RequestEntityTooLarge',
          from === 'yaml' ? 'the YAML of the body takes too much to decode: send JSON' : TOO_LONG_FOR_YAML,
        ),
      )
    })
  }

  function finish(tell: (job: Job) => void): void {
    const ended = running
    running = undefined
    if (ended) {
      ended.end()
      tell(ended.job)
    }
    next()
  }

  async function run(job: Omit<Job, 'done'>): Promise<string> {
    const { share } = job
    if (unfinished.of(share) >= MOST_WAITING) throw tooManyRequests()
    unfinished.add(share, 1)
    try {
      const done = Promise.withResolvers<string>()
      waiting.push(share, { ...job, done })
      next()
      return await done.promise
    } finally {
      unfinished.add(share, -1)
    }
  }

  return {
    decode: async (text, share) => JSON.parse(await run({ from: 'yaml', text: () => text, share })) as DecodedYaml,
    encode: (text, share) => run({ from: 'json', text, share }),
  }
}

function settle({ done }: Job, answer: YamlAnswer): void {
  if ('text' in answer) done.resolve(answer.text)
  else done.reject(answer.reason ? new StatusError(answer.reason, answer.failure) : new Error(answer.failure))
}

/** Of the process. */
export const yamlThread = createYamlThread()
