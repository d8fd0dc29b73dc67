/**
 * What the node makes for one Pod of objects of the API. Each of them has a megabyte at most, but a volume can refer to
 * the same one many thousand times, each time at another path.
 */
import { VolumeError } from './volume-error.ts'

const MOST_BYTES = 64 * 1024 * 1024
/** What the least file takes of a disk, and a directory too. */
const BLOCK_BYTES = 4096

export interface FilesBudget {
  /** Before the file is made. Throws a VolumeError where all files of the Pod together would be too many or too large. */
  spend(path: string, bytes: number): void
  /** Bytes, of files so far. */
  readonly spent: number
}

export function createFilesBudget(): FilesBudget {
  let spent = 0
  return {
    spend(path, bytes) {
      spent += (path.split('/').length + Math.ceil(bytes / BLOCK_BYTES)) * BLOCK_BYTES
      if (spent > MOST_BYTES) throw tooMany()
    },
    get spent() {
      return spent
    },
  }
}

function tooMany(): VolumeError {
  return new VolumeError(
    `the files of the Pod's configMap, secret, downwardAPI and projected volumes take more than ${MOST_BYTES / 1024 ** 2}Mi together: refer to fewer or smaller objects`,
  )
}
