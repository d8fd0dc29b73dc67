import { removeDeep } from '@caisson/runtime'
import { unmountBelow } from './mounts.ts'

/** Removes a directory of ours with all that containers put there. What is mounted in it is unmounted, never deleted. */
export async function removeTree(directory: string): Promise<void> {
  await unmountBelow(directory)
  await removeDeep(directory)
}
