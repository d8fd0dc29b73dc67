/** A process that serves a data directory until it is told to stop. */
import { closeSync, writeSync } from 'node:fs'
import { flushCompileCache } from 'node:module'
import { VERSION } from '../version.ts'
import { createDaemonLog, type DaemonLog } from './daemon-log.ts'
import { type DaemonRecord, removeDaemonRecord, writeDaemonRecord } from './daemon-record.ts'
import type { DataDirectory } from './data-directory.ts'
import { takeDirectory } from './directory-lock.ts'
import { closeInheritedDescriptors } from './inherited-descriptors.ts'
import { releaseNamespaces } from './user-namespace.ts'

/** Disposing leaves sandboxes running. */
export interface Served extends AsyncDisposable {
  /** Of the API server. */
  server: string
  /** What its record says besides. */
  startedWith?: Pick<DaemonRecord, 'fakeRuntime' | 'flatGroup'>
  /** Stops every sandbox too. */
  stopAll(): Promise<void>
  /** Ends it by calling `stop`, until it is disposed; never unless given. */
  watch?(stop: () => void): Disposable
}

/**
 * Runs until a signal comes; not at all where another process serves the directory already. SIGINT stops every sandbox too; SIGTERM leaves them for the next start.
 *
 * @param start begins to serve
 */
export async function runDaemon(
  directory: DataDirectory,
  start: (log: DaemonLog) => Promise<Served>,
  readyText = 'ready',
): Promise<void> {
  closeInheritedDescriptors(readyDescriptor())
  const stopping = Promise.withResolvers<'leave' | 'idle' | 'stop'>()
  process.on('SIGTERM', () => stopping.resolve('leave'))
  process.on('SIGINT', () => stopping.resolve('stop'))
  process.on('SIGHUP', () => stopping.resolve('leave'))
  const log = createDaemonLog({
    descriptor: process.stderr.fd,
    file: directory.log,
    now: Date.now,
  })
  // A mistake of ours, and no reason to end everybody's cluster: somebody in a sandbox may have found out how it is caused.
  process.on('unhandledRejection', (error) => {
    log('a failure that nobody waited for', error instanceof Error ? (error.stack ?? error.message) : String(error))
  })
  const taken = await takeDirectory(directory)
  if ('pid' in taken) {
    sayReady(`already running: ${taken.server}, process ${taken.pid}`)
    return
  }
  using _lock = taken
  // Stays where sandboxes go on, and where this failed: `down` then takes away what is left, whenever it comes.
  if ((await runUntilStopped()) !== 'leave') removeDaemonRecord(directory)

  async function runUntilStopped(): Promise<'leave' | 'idle' | 'stop'> {
    // Whatever happens from here on, nothing of it goes on in a process that should end.
    await using served = await start(log)
    const { server } = served
    const about = { server, version: VERSION, ...served.startedWith }
    writeDaemonRecord(directory, about)
    sayReady(`${readyText}: ${server}`)
    // Written at an orderly end otherwise, which a cluster may never come to.
    flushCompileCache()
    const watched = served.watch?.(() => stopping.resolve('idle'))
    const how = await stopping.promise
    // Its timer would keep the process alive long after everything else has ended.
    watched?.[Symbol.dispose]()
    try {
      writeDaemonRecord(directory, { ...about, ending: true })
    } catch {
      // On a full disk it says what it said before.
    }
    if (how === 'stop') await served.stopAll()
    // Otherwise sandboxes go on in them.
    if (how !== 'leave') releaseNamespaces(directory)
    return how
  }
}

/** Not a number where nobody waits at one. */
function readyDescriptor(): number {
  return Number(process.env['CAISSON_READY_DESCRIPTOR'] || Number.NaN)
}

function sayReady(text: string): void {
  const descriptor = readyDescriptor()
  if (!Number.isInteger(descriptor)) {
    console.log(text)
    return
  }
  writeSync(descriptor, 'ready\n')
  closeSync(descriptor)
}
