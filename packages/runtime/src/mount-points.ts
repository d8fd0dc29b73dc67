import { readFile } from 'node:fs/promises'
import { RuntimeError } from './runtime-error.ts'
import { type RunCommand, runCommand } from './tools/run-command.ts'

/** Mount points of this process's mount namespace, in the order in which they were made. */
export async function mountPoints(): Promise<string[]> {
  const table = await readFile('/proc/self/mountinfo', 'utf8')
  return table.split('\n').flatMap((line) => {
    const point = line.split(' ')[4]
    return point === undefined
      ? []
      : [point.replace(/\\(\d{3})/g, (_, octal: string) => String.fromCharCode(Number.parseInt(octal, 8)))]
  })
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
