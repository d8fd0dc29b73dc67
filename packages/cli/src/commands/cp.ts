import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import type { FileHandle } from 'node:fs/promises'
import { basename, dirname, posix, resolve } from 'node:path'
import { pipeline } from 'node:stream/promises'
import { execInPod, isApiError, type PodObject } from '@caisson/client'
import { CliError } from '../cli-error.ts'
import { openSession, type Session } from '../cluster/session.ts'
import type { GlobalOptions } from '../global-options.ts'
import { stopSignal } from '../run/stop-signal.ts'
import { awakePodOf } from '../sandbox-pod.ts'
import { sayWaiting } from '../say-waiting.ts'
import { otherProgramsErrors, say } from '../terminal-text.ts'
import { whereFound } from '../where-found.ts'

export interface CpOptions extends GlobalOptions {
  from: string
  to: string
  container?: string
}

interface Copy {
  from: string
  to: string
  container: string | undefined
  /** Ends it, and what was begun is taken away. */
  signal: AbortSignal
}

/**
 * Copies a file or directory, as a tar stream through an exec: the sandbox needs `tar`. `-` in place of what is here is that
 * stream itself, as with `docker cp`: out to standard output, or from standard input into a directory that is there.
 */
export async function cp(options: CpOptions): Promise<void> {
  const from = place(options.from)
  const to = place(options.to)
  if ((from.sandbox === undefined) === (to.sandbox === undefined)) {
    throw new CliError('usage', 'one of the two has to be in a sandbox, as NAME:PATH, and the other here')
  }
  const stop = stopSignal(undefined)
  const copy: Copy = { ...options, container: options.container, signal: stop.signal }
  await using session = await openSession(options)
  try {
    await whereFound(session, async (here) => {
      const pod = await stop.race(awakePodOf(here, from.sandbox ?? to.sandbox ?? '', options.container))
      const name = pod.metadata.name ?? ''
      using _ = sayWaiting('the copy')
      if (to.sandbox !== undefined && from.path === '-') await unpackIn(here, name, { ...copy, to: to.path })
      else if (from.sandbox !== undefined && to.path === '-') await packOut(here, name, { ...copy, from: from.path })
      else if (to.sandbox !== undefined) await copyIn(here, pod, { ...copy, from: resolve(from.path), to: to.path })
      else await copyOut(here, pod, { ...copy, from: from.path, to: resolve(to.path) })
    })
  } catch (error) {
    if (!stop.signal.aborted) throw error
    process.exitCode = stop.exitCode()
  }
}

function place(text: string): { sandbox: string | undefined; path: string } {
  const match = /^([a-z0-9][a-z0-9.-]*):(.+)$/.exec(text)
  return match?.[1] && match[2] ? { sandbox: match[1], path: match[2] } : { sandbox: undefined, path: text }
}

/** Like `cp`: into a directory that is there under its own name, otherwise to the name given. */
async function copyIn(session: Session, podObject: PodObject, { from, to, container, signal }: Copy): Promise<void> {
  const pod = podObject.metadata.name ?? ''
  // A sandbox must not choose by a link what of this machine another is given.
  const { openDirectory } = await import('../open-directory.ts')
  const { sharedDirectories } = await import('../shared-directories.ts')
  const shared = await sharedDirectories(session, podObject)
  await using source = await openDirectory(dirname(from), shared).catch((error: unknown) => notRead(error, from))
  // The name in the archive is the last part of `to`, so that nothing has to be renamed inside. GNU tar's --transform
  // is on this side of the wire; `s` leaves link targets alone.
  const into = to.endsWith('/') || (await isDirectory(session, pod, { path: to, container, signal }))
  const target = into ? posix.join(to, basename(from)) : to
  const transform = `s,^\\./${literal(basename(from))},./${replacement(posix.basename(target))},rS`
  await using command = await execInPod(session.client, pod, {
    namespace: session.namespace,
    command: ['tar', '-xmf', '-', '-C', posix.dirname(target)],
    stdin: true,
    signal,
    ...(container !== undefined && { container }),
  })
  // Not sooner: Node throws away what a process has written when it ends before anybody reads it.
  const pack = spawn('tar', ['-cf', '-', '-C', '/proc/self/fd/3', `--transform=${transform}`, `./${basename(from)}`], {
    stdio: ['ignore', 'pipe', 'inherit', source.fd],
  })
  await using packed = ended(pack)
  command.stdout?.resume()
  command.stderr?.pipe(otherProgramsErrors()).pipe(process.stderr)
  // tar may end in the sandbox before the archive does, and ends the one here by that: its exit code says whether all was well.
  if (command.stdin && pack.stdout) await pipeline(pack.stdout, command.stdin).catch(ignoreEnded)
  const [[code], { exitCode }] = await Promise.all([packed.exit, command.exit])
  if (exitCode !== 0) throw new CliError('failed', `tar ended with ${exitCode} in the sandbox: see its message above`)
  if (code !== 0) throw new CliError('not-found', `${from} could not be read: see tar's message above`)
}

function notRead(error: unknown, from: string): never {
  if (error instanceof CliError || !(error instanceof Error)) throw error
  const { code } = error as NodeJS.ErrnoException
  throw new CliError('not-found', `${from} could not be read (${code})`, { cause: error })
}

async function unpackIn(session: Session, pod: string, { to, container, signal }: Copy): Promise<void> {
  if (process.stdin.isTTY)
    throw new CliError('usage', 'an archive was expected on standard input, found a terminal: redirect it')
  await using command = await execInPod(session.client, pod, {
    namespace: session.namespace,
    command: ['tar', '-xmf', '-', '-C', to],
    stdin: true,
    signal,
    ...(container !== undefined && { container }),
  })
  command.stdout?.resume()
  command.stderr?.pipe(otherProgramsErrors()).pipe(process.stderr)
  // tar may end before the archive does: its exit code says whether all was well.
  const sent = command.stdin ? pipeline(process.stdin, command.stdin).catch(ignoreEnded) : undefined
  // Where it fails while the command does, what the command says is the cause.
  sent?.catch(() => undefined)
  const { exitCode } = await command.exit.finally(() => process.stdin.destroy())
  await sent
  if (exitCode !== 0) throw new CliError('failed', `tar ended with ${exitCode} in the sandbox: see its message above`)
}

/** What comes is as the sandbox sends it: whoever unpacks it has to know that. */
async function packOut(session: Session, pod: string, { from, container, signal }: Copy): Promise<void> {
  if (process.stdout.isTTY)
    throw new CliError('usage', 'an archive is not for a terminal: redirect standard output to a file')
  await using command = await execPack(session, pod, { from, container, signal })
  command.stderr?.pipe(otherProgramsErrors()).pipe(process.stderr)
  if (command.stdout) await pipeline(command.stdout, process.stdout, { end: false })
  const { exitCode } = await command.exit
  if (exitCode !== 0)
    throw new CliError('not-found', `${from} could not be read in the sandbox: see tar's message above`)
}

/** An archive of what is at a path of the sandbox, with names that begin with the last part of it. */
function execPack(
  session: Session,
  pod: string,
  { from, container, signal }: Pick<Copy, 'from' | 'container' | 'signal'>,
): ReturnType<typeof execInPod> {
  const source = posix.normalize(from)
  return execInPod(session.client, pod, {
    namespace: session.namespace,
    command: ['tar', '-cf', '-', '-C', posix.dirname(source), `./${posix.basename(source)}`],
    signal,
    ...(container !== undefined && { container }),
  })
}

/** As kubectl cp finds out. An image without `test` says no: then tar says what is in the way. */
async function isDirectory(
  session: Session,
  pod: string,
  { path, container, signal }: Pick<Copy, 'container' | 'signal'> & { path: string },
): Promise<boolean> {
  await using command = await execInPod(session.client, pod, {
    namespace: session.namespace,
    command: ['test', '-d', path],
    signal,
    ...(container !== undefined && { container }),
  })
  command.stdout?.resume()
  command.stderr?.resume()
  try {
    return (await command.exit).exitCode === 0
  } catch (error) {
    if (isApiError(error)) return false
    throw error
  }
}

/**
 * What comes out is not trusted: it is unpacked into a directory that nobody else writes to, where tar refuses names that
 * lead out and takes links as links; what is armed is taken away, and only then the asked name is moved to its place.
 */
async function copyOut(session: Session, pod: PodObject, { from, to, container, signal }: Copy): Promise<void> {
  const source = posix.normalize(from)
  const name = posix.basename(source)
  if (name === '' || name === '.' || name === '..') {
    throw new CliError('usage', `${JSON.stringify(from)} names no file or directory of the sandbox: give its full path`)
  }
  const { makeReceiving, moveTree, openDestination } = await import('../copy-destination.ts')
  const { below } = await import('../open-directory.ts')
  const { sharedDirectories } = await import('../shared-directories.ts')
  const shared = await sharedDirectories(session, pod)
  await using destination = await openDestination(to, shared)
  await using receiving = await makeReceiving(destination, shared)
  await receive(session, pod, { from: source, container, signal, into: receiving.handle })
  const received = below(receiving.handle, name)
  await requireUnarmed(received, from)
  await readIfEmpty(session, pod, { from: source, container, signal, received })
  const target = destination.name === undefined ? posix.join(to, name) : to
  await moveTree(received, below(destination.directory, destination.name ?? name), target)
}

async function receive(
  session: Session,
  pod: PodObject,
  { from, container, signal, into }: Omit<Copy, 'to'> & { into: FileHandle },
): Promise<void> {
  await using command = await execPack(session, pod.metadata.name ?? '', { from, container, signal })
  command.stderr?.pipe(otherProgramsErrors()).pipe(process.stderr)
  const unpack = spawn('tar', ['-xf', '-', '-C', '/proc/self/fd/3', '--no-same-owner', '--no-same-permissions'], {
    stdio: ['pipe', 'inherit', 'inherit', into.fd],
  })
  await using unpacked = ended(unpack)
  // tar ends with the archive, which may be before the stream: its exit code says whether all was read.
  if (command.stdout && unpack.stdin) await pipeline(command.stdout, unpack.stdin).catch(ignoreEnded)
  command.stdout?.resume()
  const [[code], { exitCode }] = await Promise.all([unpacked.exit, command.exit])
  if (exitCode !== 0)
    throw new CliError('not-found', `${from} could not be read in the sandbox: see tar's message above`)
  if (code !== 0) throw new CliError('failed', `what the sandbox sent could not be unpacked: see tar's message above`)
}

/**
 * tar takes as much of a file as its size says, and of those of /proc, which it says nothing of, nothing: an empty one is
 * read besides. An image without `cat` has none that are more than they seem.
 */
async function readIfEmpty(
  session: Session,
  pod: PodObject,
  { from, container, signal, received }: Omit<Copy, 'to'> & { received: string },
): Promise<void> {
  const { lstat, open } = await import('node:fs/promises')
  const found = await lstat(received)
  if (!found.isFile() || found.size > 0) return
  await using command = await execInPod(session.client, pod.metadata.name ?? '', {
    namespace: session.namespace,
    command: ['cat', from],
    signal,
    ...(container !== undefined && { container }),
  })
  command.stderr?.pipe(otherProgramsErrors()).pipe(process.stderr)
  await using file = await open(received, 'r+')
  if (command.stdout) await pipeline(command.stdout, file.createWriteStream())
  const exit = await command.exit.catch((error: unknown) => (isApiError(error) ? undefined : Promise.reject(error)))
  if (exit && exit.exitCode !== 0)
    throw new CliError('not-found', `${from} could not be read in the sandbox: see cat's message above`)
}

/** Takes away what is armed, and says so. @throws CliError where nothing is left */
async function requireUnarmed(received: string, from: string): Promise<void> {
  const { lstat } = await import('node:fs/promises')
  const { disarm } = await import('../received-tree.ts')
  const gone = (error: NodeJS.ErrnoException): undefined => {
    if (error.code !== 'ENOENT') throw error
  }
  if (!(await lstat(received).catch(gone))) throw new CliError('failed', `the sandbox sent something else than ${from}`)
  for (const path of await disarm(received)) {
    say(`left out ${JSON.stringify(path)}: a device, or a link that leads out of what was copied`)
  }
  if (!(await lstat(received).catch(gone)))
    throw new CliError('failed', `${from} is neither a file nor a directory: copy what it leads to`)
}

/** Whoever leaves a process of its own ends it, and goes on when nothing of it is left. */
function ended(child: ChildProcess): AsyncDisposable & { exit: Promise<[number | null]> } {
  const exit = once(child, 'exit') as Promise<[number | null]>
  exit.catch(() => undefined)
  return {
    exit,
    async [Symbol.asyncDispose]() {
      child.kill()
      await exit.catch(() => undefined)
    },
  }
}

function ignoreEnded(error: NodeJS.ErrnoException): void {
  if (error.code !== 'EPIPE' && error.code !== 'ERR_STREAM_PREMATURE_CLOSE') throw error
}

/** For what tar's sed-like expressions look for: letters that mean something there are escaped. */
function literal(text: string): string {
  return text.replaceAll(/[\\.*[\]^$,]/g, '\\$&')
}

/** For what they put in its place, where any other letter would keep its backslash. */
function replacement(text: string): string {
  return text.replaceAll(/[\\&,]/g, '\\$&')
}
