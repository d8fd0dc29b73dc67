import { closeSync, openSync } from 'node:fs'

/** Files that are opened one after the other, of which none stays open where one of them cannot be. */
export interface OpenFiles extends Disposable {
  open(path: string, flags: string | number, mode?: number): number
  /** They belong to the caller from here on, and disposing closes none of them. */
  keep(): void
}

export function openFiles(): OpenFiles {
  const opened = new DisposableStack()
  let kept = false
  return {
    open(path, flags, mode) {
      const descriptor = openSync(path, flags, mode)
      opened.defer(() => closeSync(descriptor))
      return descriptor
    },
    keep() {
      kept = true
    },
    [Symbol.dispose]() {
      if (!kept) opened.dispose()
    },
  }
}
