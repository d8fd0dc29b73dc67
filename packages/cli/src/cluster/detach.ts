import { type ChildProcess, spawn } from 'node:child_process'
import { closeSync, fstatSync, readFileSync } from 'node:fs'
import { CliError, type CliErrorCode, EXIT_CODES } from '../cli-error.ts'
import { lastSaid } from '../terminal-text.ts'
import { type DaemonRecord, readDaemonRecord } from './daemon-record.ts'
import { type DataDirectory, isDiskFull, openLog, prepareDataDirectory } from './data-directory.ts'
import { inUserNamespace, sayWhatIsMissing } from './user-namespace.ts'

export interface DetachOptions {
  listen?: string
  fakeRuntime?: boolean
  flatGroup?: boolean
  stopWhenIdle?: string
}

/** The words of `caisson up` in the foreground. */
export function wordsOfUp(options: DetachOptions): string[] {
  return [
    'up',
    ...(options.listen !== undefined ? ['--listen', options.listen] : []),
    ...(options.fakeRuntime ? ['--fake-runtime'] : []),
    ...(options.flatGroup === false ? ['--no-flat-group'] : []),
    ...(options.stopWhenIdle !== undefined ? ['--stop-when-idle', options.stopWhenIdle] : []),
  ]
}

const LAST_LINES = 8

/** What each is to whoever started this. */
const SIGNALS = { SIGINT: 'interrupted', SIGTERM: 'terminated', SIGHUP: 'hung-up' } as const

/** The descriptor on which a detached cluster says that it is ready. */
const READY_DESCRIPTOR = 3

/**
 * Starts a command that serves the data directory in a process of its own session, which logs into the directory, and waits
 * until it is ready. Nothing of it is left where this process is interrupted meanwhile: nobody knows of it yet who could
 * end it.
 *
 * @param what it serves, for errors
 * @throws CliError with the end of its log where it ended before
 */
export async function startDetached(
  directory: DataDirectory,
  words: readonly string[],
  what = 'cluster',
): Promise<DaemonRecord> {
  let interrupted: CliErrorCode | undefined
  let child: ChildProcess | undefined
  const interrupt = (signal: NodeJS.Signals): void => {
    interrupted ??= SIGNALS[signal as keyof typeof SIGNALS]
    // It stops what it has begun.
    child?.kill('SIGINT')
  }
  const signals = Object.keys(SIGNALS) as (keyof typeof SIGNALS)[]
  for (const signal of signals) process.on(signal, interrupt)
  prepareDataDirectory(directory)
  const log = openLog(directory)
  const before = fstatSync(log).size
  sayWhatIsMissing()
  const { command, env } = inUserNamespace(directory, [
    process.execPath,
    // What the launcher gives commands for the short time that they take is nothing for a process that stays.
    ...process.execArgv.filter((flag) => !flag.startsWith('--min-semi-space-size')),
    process.argv[1] ?? '',
    '--data-dir',
    directory.root,
    ...words,
  ])
  const [program = '', ...args] = command
  const started = spawn(program, args, {
    detached: true,
    cwd: '/',
    stdio: ['ignore', log, log, 'pipe'],
    env: { ...env, CAISSON_READY_DESCRIPTOR: String(READY_DESCRIPTOR) },
  })
  closeSync(log)
  child = started
  try {
    await new Promise<void>((resolve, reject) => {
      started.on('error', reject)
      started.on('exit', (code, signal) => {
        if (interrupted)
          return reject(new CliError(interrupted, `${interrupted.replace('-', ' ')}: the ${what} was not started`))
        // Another command was faster, and its cluster runs.
        if (code === 0) return resolve()
        reject(startFailure(what, { code, signal, directory, before }))
      })
      // One that is ready when it is interrupted has yet to stop.
      started.stdio[READY_DESCRIPTOR]?.once('data', () => interrupted || resolve())
    })
  } finally {
    for (const signal of signals) process.off(signal, interrupt)
    started.removeAllListeners()
    started.stdio[READY_DESCRIPTOR]?.destroy()
    started.unref()
  }
  const record = readDaemonRecord(directory)
  if (!record) throw new CliError('failed', `the ${what} ended as soon as it was ready${reasons(directory, before)}`)
  return record
}

interface FailedStart {
  code: number | null
  signal: NodeJS.Signals | null
  directory: DataDirectory
  /** Bytes that its log had before. */
  before: number
}

/** It ends as any command of ours: what its exit code means, this one's means too, and its last sentence is why. */
function startFailure(what: string, { code, signal, directory, before }: FailedStart): CliError {
  const known = Object.entries(EXIT_CODES) as [CliErrorCode, number][]
  const meant = known.find(([, value]) => value === code)?.[0] ?? 'failed'
  const sentence = signal ? undefined : lastSaid(loggedSince(directory, before))
  if (sentence === undefined)
    return new CliError(
      meant,
      `the ${what} did not start (${signal ?? `exit code ${code}`})${reasons(directory, before)}`,
    )
  if (meant !== 'failed') return new CliError(meant, sentence)
  // What nobody has foreseen may have begun before.
  return new CliError(meant, `${sentence}${fullDisk(directory) ?? `; ${directory.log} may say more`}`)
}

/** What to say where that may be why. */
function fullDisk(directory: DataDirectory): string | undefined {
  return isDiskFull(directory) ? `: the disk of ${directory.root} is full; free some space and try again` : undefined
}

function loggedSince(directory: DataDirectory, before: number): string {
  return readFileSync(directory.log).subarray(before).toString('utf8').trimEnd()
}

/** What it has logged since the log was `before` bytes long; where that is nothing, perhaps because nothing can be written. */
function reasons(directory: DataDirectory, before: number): string {
  const text = loggedSince(directory, before)
  if (text !== '') return `; the end of ${directory.log}:\n${text.split('\n').slice(-LAST_LINES).join('\n')}`
  return fullDisk(directory) ?? `; ${directory.log} does not say why`
}
