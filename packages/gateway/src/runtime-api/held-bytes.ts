/** How much the router holds of what commands put out and clients send, of all requests together and of each client's. */
import { createShares } from '../shares.ts'
import { ExecError } from './exec-error.ts'

/** What one request holds, until it is disposed of. */
export interface HeldBytes extends Disposable {
  /** @throws ExecError `busy` where all requests together, or the client's, would hold more than they may */
  add(bytes: number): void
}

export type Hold = (client: string | undefined) => HeldBytes

/** `total` and `each` client's in bytes. Gives what makes one for a request of a client, who may not be known. */
export function createHeldBytes(total: number, each: number): Hold {
  const shares = createShares(total, each)
  return (client) => {
    let own = 0
    return {
      add(bytes) {
        if (!shares.take(client, bytes))
          throw new ExecError('busy', 'the requests under way hold as much as the router may: try again')
        own += bytes
      },
      [Symbol.dispose]() {
        shares.give(client, own)
        own = 0
      },
    }
  }
}
