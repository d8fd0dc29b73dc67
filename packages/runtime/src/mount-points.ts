import { readFile } from 'node:fs/promises'
import { RuntimeError } from './runtime-error.ts'
import { type RunCommand, runCommand } from './tools/run-command.ts'

interface MountEntry {
  point: string
  /** The device, or what stands in its place. */
  source: string
}

/** What is mounted in this process's mount namespace, in the order in which it was mounted. */
export async function readMountTable(): Promise<MountEntry[]> {
  const table = await readFile('/proc/self/mountinfo', 'utf8')
  return table
    .split('\n')
    .filter(Boolean)
    .map((line) => {
      // A number of optional fields ends with a dash, after which are the type and the source.
      const [fields = '', end = ''] = line.split(' - ')
      return { point: unescape(fields.split(' ')[4] ?? ''), source: unescape(end.split(' ')[1] ?? '') }
    })
}

/** The kernel writes spaces, tabs, newlines and backslashes as octal. */
function unescape(path: string): string {
  return path.replaceAll(/\\([0-7]{3})/g, (_match, code: string) => String.fromCharCode(Number.parseInt(code, 8)))
}

/** Mount points of this process's mount namespace, in the order in which they were made. */
export async function mountPoints(): Promise<string[]> {
  return (await readMountTable()).map(({ point }) => point)
}

/**
 * Takes away all that is mounted below a directory, also where another process does so at the same time. No error where
 * there is nothing.
 *
 * @param run starts `umount`
 */
export async function unmountBelow(directory: string, run: RunCommand = runCommand): Promise<void> {
  const points = await pointsBelow(directory)
  if (points.length === 0) return
  // What is mounted within them goes with them.
  const outermost = points.filter((point) => !points.some((other) => point.startsWith(`${other}/`)))
  const { stderr } = await run('umount', ['--lazy', '--', ...outermost])
  const left = await pointsBelow(directory)
  if (left.length > 0) throw new RuntimeError('failed', `could not unmount ${left.join(', ')}: ${stderr.trim()}`)
}

async function pointsBelow(directory: string): Promise<string[]> {
  return (await mountPoints()).filter((point) => point.startsWith(`${directory}/`))
}
