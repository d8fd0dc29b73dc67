import { writeSync } from 'node:fs'

/** Writes all of a buffer: one call may write less than it was given, on a disk that becomes full for instance. */
export function writeWhole(descriptor: number, bytes: Buffer): void {
  for (let at = 0; at < bytes.length; ) at += writeSync(descriptor, bytes, at, bytes.length - at)
}
