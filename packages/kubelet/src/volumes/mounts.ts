/** What is mounted on this machine, and the few mounts that volumes need. */
import { readMountTable, runProgram } from '@caisson/runtime'
import { VolumeError } from './volume-error.ts'

/** Mount points at or below `directory`, the innermost first. */
export async function mountPointsBelow(directory: string): Promise<string[]> {
  const table = await readMountTable()
  return table
    .map(({ point }) => point)
    .filter((point) => point === directory || point.startsWith(`${directory}/`))
    .reverse()
}

/** Takes every mount at or below `directory` away. Throws where one stays: what is in it is not ours to delete. */
export async function unmountBelow(directory: string): Promise<void> {
  const points = await mountPointsBelow(directory)
  if (points.length === 0) return
  for (const point of points) {
    // Not followed by name: lazily, since a process that still looks at it would only delay the inevitable.
    await runProgram('umount', ['--no-canonicalize', '--lazy', '--', point])
  }
  const [left] = await mountPointsBelow(directory)
  if (left !== undefined) throw new VolumeError(`${left} is still mounted after it was unmounted`)
}

export interface TmpfsOptions {
  sizeBytes: number
  mode: number
  /** What the kernel is to show as its source. */
  source?: string
  /** How many files, directories and links it may have; default as many as the kernel gives it. */
  files?: number
  /** What is in it never goes to a disk. Linux before 6.4 mounts none that is asked for that. */
  noSwap?: boolean
}

export async function mountTmpfs(target: string, options: TmpfsOptions): Promise<void> {
  const { sizeBytes, mode, source = 'tmpfs', files, noSwap = false } = options
  const settings = [
    `nosuid,nodev,size=${sizeBytes},mode=${mode.toString(8)}`,
    ...(files === undefined ? [] : [`nr_inodes=${files}`]),
    ...(noSwap ? ['noswap'] : []),
  ]
  await runProgram('mount', ['-t', 'tmpfs', '-o', settings.join(), source, target])
}

/** By file: two that mount the same one at once would each get a device of their own for it. */
const mountingImages = new Map<string, Promise<void>>()

/** Mounts the file system in a file, of which all mounts share one device. Nothing to do where it is mounted there. */
export async function mountImageFile(file: string, target: string): Promise<void> {
  const before = mountingImages.get(file)
  const mounting = (async () => {
    await before?.catch(() => undefined)
    if ((await mountPointsBelow(target)).includes(target)) return
    await runProgram('mount', ['-t', 'ext4', '-o', 'loop,nosuid,nodev', '--', file, target])
  })()
  mountingImages.set(file, mounting)
  try {
    await mounting
  } finally {
    if (mountingImages.get(file) === mounting) mountingImages.delete(file)
  }
}

/** Mounts what the open file `descriptor` of this process stands for, whatever is at its path by now. */
export async function bindDescriptor(descriptor: number, target: string): Promise<void> {
  await runProgram('mount', ['--no-canonicalize', '--bind', `/proc/${process.pid}/fd/${descriptor}`, target])
}
