/** A store whose disk a test fills, and gives room to again. */
import { StatusError } from '../status-error.ts'
import type { Store, Transaction } from '../storage/store.ts'

export interface FillableStore {
  store: Store
  isFull: boolean
}

/** The same store. While its disk is full every write fails as one does then, with nothing written. */
export function withFillableDisk(store: Store): FillableStore {
  const disk: FillableStore = { store, isFull: false }
  function write<T>(operation: (transaction: Transaction) => T, share?: string): Promise<T> {
    if (!disk.isFull) return store.write(operation, share)
    return Promise.reject(new StatusError('InternalError', 'the disk is full: nothing was written'))
  }
  disk.store = Object.create(store, { write: { value: write } }) as Store
  return disk
}
