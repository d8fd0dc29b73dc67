/** How much the router holds of what commands put out and clients send, of all requests together. */
import { ExecError } from './exec-error.ts'

/** What one request holds, until it is disposed of. */
export interface HeldBytes extends Disposable {
  /** @throws ExecError `busy` where all requests together would hold more than they may */
  add(bytes: number): void
}

/** `limit` in bytes. Gives what makes one for a request. */
export function createHeldBytes(limit: number): () => HeldBytes {
  let total = 0
  return () => {
    let own = 0
    return {
      add(bytes) {
        if (total + bytes > limit)
          throw new ExecError('busy', 'all requests together hold as much as the router may: try again')
        own += bytes
        total += bytes
      },
      [Symbol.dispose]() {
        total -= own
        own = 0
      },
    }
  }
}
