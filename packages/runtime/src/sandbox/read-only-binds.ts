/**
 * Read-only binds as gVisor needs them. Its kernel truncates a file that is opened with O_TRUNC before it finds that the
 * mount is read-only (seen in release-20240729), and what serves it the files has bound their directory writable. So what
 * it is given is read-only to it already: a mount of the machine, which goes with the container.
 */
import { mkdir, stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { mountPoints } from '../mount-points.ts'
import { type Mount } from '../runtime.ts'
import { RuntimeError } from '../runtime-error.ts'
import { type RunCommand, runCommand } from '../tools/run-command.ts'

const DIRECTORY = 'read-only'

/**
 * The mounts, their read-only sources replaced by what `mountReadOnlyBinds` will make of them.
 * @param directory of the container
 */
export function throughReadOnlyBinds(directory: string, mounts: readonly Mount[]): Mount[] {
  return mounts.map((mount, index) => (isReadOnlyBind(mount) ? { ...mount, source: bindOf(directory, index) } : mount))
}

/**
 * Throws a RuntimeError; what was mounted until then goes with `unmountBelow`.
 *
 * @param run starts `mount`
 */
export async function mountReadOnlyBinds(
  directory: string,
  mounts: readonly Mount[],
  run: RunCommand = runCommand,
): Promise<void> {
  for (const [index, mount] of mounts.entries()) {
    if (isReadOnlyBind(mount)) await mountReadOnly(mount.source ?? '', bindOf(directory, index), run)
  }
}

const bindOf = (directory: string, index: number): string => join(directory, DIRECTORY, String(index))

function isReadOnlyBind({ kind, readOnly }: Mount): boolean {
  return kind === 'bind' && readOnly
}

async function mountReadOnly(source: string, target: string, run: RunCommand): Promise<void> {
  const found = await stat(source).catch((cause: unknown) => {
    throw new RuntimeError('failed', `what is to be mounted read-only is not there: ${source}`, { cause })
  })
  if (found.isDirectory()) {
    await mkdir(target, { recursive: true, mode: 0o700 })
  } else {
    await mkdir(join(target, '..'), { recursive: true, mode: 0o700 })
    await writeFile(target, '', { flag: 'wx' })
  }
  await mount(run, ['--rbind', '-o', 'ro', '--make-rprivate', '--', source, target])
  // The kernel makes only the top of a recursive bind read-only.
  for (const point of await mountPoints())
    if (point.startsWith(`${target}/`)) await mount(run, ['-o', 'remount,bind,ro', '--', point])
}

async function mount(run: RunCommand, args: string[]): Promise<void> {
  const { exitCode, stderr } = await run('mount', args)
  if (exitCode !== 0) throw new RuntimeError('failed', `a read-only mount failed: ${stderr.trim()}`)
}
