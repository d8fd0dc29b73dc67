import { dirname } from 'node:path'
import type { PodDirectories } from '../pod-directories.ts'

/** What went wrong, for the Pod's owner, to whom it is nobody's business where this machine keeps things. */
export function failureMessage(error: unknown, directories: PodDirectories): string {
  return (error as Error).message
    .replaceAll(/ENOSPC: no space left on device(?:, \w+)?(?: '[^']*')*/g, "the node's disk is full")
    .replaceAll(dirname(directories.pods), '')
}
