/**
 * Decodes large YAML bodies on a thread of their own. The parser takes about two milliseconds for a kilobyte, so that a
 * body of the largest size would hold the event loop, and with it everybody, for seconds.
 */
import { Worker } from 'node:worker_threads'
import { StatusError } from '../status-error.ts'
import type { Decoded } from '../verbs/decode.ts'
import type { YamlAnswer } from './yaml-worker.ts'

/** Bytes; what is shorter takes the event loop less than the way to the thread and back is worth. */
export const LONGEST_INLINE_YAML = 16 << 10
/** ms for one body; the largest that is well meant takes a few seconds of a busy machine. */
const MOST_TIME = 20_000
const MOST_MEMORY_MB = 512

interface Job {
  text: string
  done: PromiseWithResolvers<Decoded>
}

let worker: Worker | undefined
let running: Job | undefined
let deadline: NodeJS.Timeout | undefined
const waiting: Job[] = []

/** One at a time, in the order of the calls. Throws what `decodeYaml` throws, or a StatusError where it takes too much. */
export function decodeYamlOffThread(text: string): Promise<Decoded> {
  const job: Job = { text, done: Promise.withResolvers() }
  waiting.push(job)
  next()
  return job.done.promise
}

function next(): void {
  if (running) return
  running = waiting.shift()
  // An idle thread keeps no process alive.
  if (!running) {
    worker?.unref()
    return
  }
  worker ??= start()
  worker.ref()
  deadline = setTimeout(() => void worker?.terminate(), MOST_TIME)
  worker.postMessage(running.text)
}

function start(): Worker {
  const started = new Worker(new URL('./yaml-worker.ts', import.meta.url), {
    resourceLimits: { maxOldGenerationSizeMb: MOST_MEMORY_MB },
    // What this process was started with (an inspector, a test runner) is not for the thread.
    execArgv: [],
  })
  started.on('message', (answer: YamlAnswer) => finish((job) => settle(job, answer)))
  // A thread that ends by itself has run out of memory, or of time.
  started.on('error', () => undefined)
  started.on('exit', () => {
    worker = undefined
    finish(({ done }) => {
      done.reject(new StatusError('RequestEntityTooLarge', 'the YAML of the body takes too much to decode: send JSON'))
    })
  })
  return started
}

function settle({ done }: Job, answer: YamlAnswer): void {
  if ('json' in answer) done.resolve({ value: JSON.parse(answer.json) as unknown, duplicates: answer.duplicates })
  else done.reject(answer.reason ? new StatusError(answer.reason, answer.failure) : new Error(answer.failure))
}

function finish(tell: (job: Job) => void): void {
  clearTimeout(deadline)
  const job = running
  running = undefined
  if (job) tell(job)
  next()
}
