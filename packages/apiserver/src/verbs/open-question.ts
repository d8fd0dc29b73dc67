/**
 * What is synchronous cannot wait for a webhook. Where it needs an answer that is not there yet it throws the question; who
 * runs it asks, and runs it again: it finds the answer then, where nobody has changed what it is about.
 */
import { StatusError } from '../status-error.ts'
import { OPTIMISTIC_LOCK } from './errors.ts'

/** Of one request. Three are enough where nobody else changes the same objects. */
const MOST_QUESTIONS = 15

export class OpenQuestion extends Error {
  override readonly name = 'OpenQuestion'
  /** Settles when the answer is there; it may be kept until what is returned is disposed of. */
  readonly ask: () => Promise<Disposable | void>
  constructor(ask: () => Promise<Disposable | void>) {
    super('a webhook has to be asked first')
    this.ask = ask
  }
}

/** Runs until nothing is left to be asked. Throws Conflict where what is asked about never stays what it was. */
export async function answered<T>(run: () => T | Promise<T>): Promise<T> {
  using kept = new DisposableStack()
  for (let questions = 0; ; questions++) {
    try {
      return await run()
    } catch (error) {
      if (!(error instanceof OpenQuestion)) throw error
      if (questions === MOST_QUESTIONS) throw new StatusError('Conflict', OPTIMISTIC_LOCK, { details: {} })
      const answer = await error.ask()
      if (answer) kept.use(answer)
    }
  }
}
