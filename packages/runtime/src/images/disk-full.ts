import { RuntimeError } from '../runtime-error.ts'

/** What to say of an error: that the disk is full where it comes of that, and no path of this machine; else itself. */
export function orDiskFull(error: unknown): unknown {
  const { code } = error as NodeJS.ErrnoException
  if (code !== 'ENOSPC' && code !== 'EDQUOT') return error
  return new RuntimeError('disk-full', 'the disk is full: free some space, or remove images', { cause: error })
}
