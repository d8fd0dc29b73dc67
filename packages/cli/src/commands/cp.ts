import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { basename, dirname, posix, resolve } from 'node:path'
import { pipeline } from 'node:stream/promises'
import { execInPod } from '@caisson/client'
import { CliError } from '../cli-error.ts'
import { openSession, type Session } from '../cluster/session.ts'
import type { GlobalOptions } from '../global-options.ts'
import { podOf } from '../sandbox-pod.ts'

export interface CpOptions extends GlobalOptions {
  from: string
  to: string
  container?: string
}

/** Copies a file or directory, as a tar stream through an exec: the sandbox needs `tar`. */
export async function cp(options: CpOptions): Promise<void> {
  const from = place(options.from)
  const to = place(options.to)
  if ((from.sandbox === undefined) === (to.sandbox === undefined)) {
    throw new CliError('usage', 'one of the two has to be in a sandbox, as NAME:PATH, and the other here')
  }
  await using session = await openSession(options)
  const pod = await podOf(session, from.sandbox ?? to.sandbox ?? '')
  const name = pod.metadata.name ?? ''
  if (to.sandbox !== undefined) await copyIn(session, name, { ...options, from: resolve(from.path), to: to.path })
  else await copyOut(session, name, { ...options, from: from.path, to: resolve(to.path) })
}

function place(text: string): { sandbox: string | undefined; path: string } {
  const match = /^([a-z0-9][a-z0-9.-]*):(.+)$/.exec(text)
  return match?.[1] && match[2] ? { sandbox: match[1], path: match[2] } : { sandbox: undefined, path: text }
}

/** Like `cp`: into a directory that is there under its own name, otherwise to the name given. */
async function copyIn(session: Session, pod: string, { from, to, container }: CpOptions): Promise<void> {
  // The name in the archive is the last part of `to`, so that nothing has to be renamed inside. GNU tar's --transform
  // is on this side of the wire; `s` leaves link targets alone.
  const target = to.endsWith('/') ? posix.join(to, basename(from)) : to
  const transform = `s,^\\./${literal(basename(from))},./${literal(posix.basename(target))},rS`
  await using command = await execInPod(session.client, pod, {
    namespace: session.namespace,
    command: ['tar', '-xmf', '-', '-C', posix.dirname(target)],
    stdin: true,
    ...(container !== undefined && { container }),
  })
  // Not sooner: Node throws away what a process has written when it ends before anybody reads it.
  const pack = spawn('tar', ['-cf', '-', '-C', dirname(from), `--transform=${transform}`, `./${basename(from)}`], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  const packed = once(pack, 'exit') as Promise<[number | null]>
  command.stdout?.resume()
  command.stderr?.pipe(process.stderr)
  if (command.stdin) await pipeline(pack.stdout, command.stdin)
  const [[code], { exitCode }] = await Promise.all([packed, command.exit])
  if (code !== 0) throw new CliError('not-found', `${from} could not be read: see tar's message above`)
  if (exitCode !== 0) throw new CliError('failed', `tar ended with ${exitCode} in the sandbox: see its message above`)
}

/**
 * What comes out is not trusted: tar here refuses names that lead out of the directory, and links are taken as links,
 * never followed, because it unpacks into a directory that nothing else writes to.
 */
async function copyOut(session: Session, pod: string, { from, to, container }: CpOptions): Promise<void> {
  await using command = await execInPod(session.client, pod, {
    namespace: session.namespace,
    command: ['tar', '-cf', '-', '-C', posix.dirname(from), `./${posix.basename(from)}`],
    ...(container !== undefined && { container }),
  })
  command.stderr?.pipe(process.stderr)
  const { mkdtemp, rename, rm, stat } = await import('node:fs/promises')
  const work = await mkdtemp(`${dirname(to)}/.caisson-cp-`)
  try {
    const unpack = spawn('tar', ['-xf', '-', '-C', work, '--no-same-owner', '--no-same-permissions'], {
      stdio: ['pipe', 'inherit', 'inherit'],
    })
    const unpacked = once(unpack, 'exit') as Promise<[number | null]>
    if (command.stdout) await pipeline(command.stdout, unpack.stdin)
    const [[code], { exitCode }] = await Promise.all([unpacked, command.exit])
    if (exitCode !== 0)
      throw new CliError('not-found', `${from} could not be read in the sandbox: see tar's message above`)
    if (code !== 0) throw new CliError('failed', `what the sandbox sent could not be unpacked: see tar's message above`)
    const isDirectory = await stat(to).then(
      (found) => found.isDirectory(),
      () => false,
    )
    const target = isDirectory ? `${to}/${posix.basename(from)}` : to
    await rm(target, { recursive: true, force: true })
    await rename(`${work}/${posix.basename(from)}`, target)
  } finally {
    await rm(work, { recursive: true, force: true })
  }
}

/** For tar's sed-like expressions: letters that mean something there are escaped. */
function literal(text: string): string {
  return text.replaceAll(/[\\.*[\]^$,&]/g, '\\$&')
}
