import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmdirSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, onTestFinished, test } from 'vitest'
import { findDaemon, readDaemonRecord, thisRun } from './daemon-record.ts'
import { dataDirectory } from './data-directory.ts'

// That of the second version kills what is frozen.
const FREEZER = '/sys/fs/cgroup/freezer'
const THAW_AFTER_MS = 300

/** Threads of a process that the kernel keeps from ending: as a disk that is slow does, only for as long as it is told to. */
function hold(threads: number[]): () => void {
  const group = mkdtempSync(join(FREEZER, 'caisson-test-'))
  for (const thread of threads) writeFileSync(join(group, 'tasks'), String(thread))
  writeFileSync(join(group, 'freezer.state'), 'FROZEN')
  onTestFinished(async () => {
    await expect.poll(() => readFileSync(join(group, 'tasks'), 'utf8')).toBe('')
    rmdirSync(group)
  })
  return () => writeFileSync(join(group, 'freezer.state'), 'THAWED')
}

test.skipIf(!existsSync(FREEZER)).for<[string, (pid: number, all: number[]) => number[]]>([
  ['has not noticed it yet', (pid) => [pid]],
  ['has a thread that cannot end', (pid, all) => all.filter((thread) => thread !== pid).slice(-1)],
])('a daemon that was killed and %s is waited for', async ([, choose]) => {
  const root = mkdtempSync(join(tmpdir(), 'caisson-record-'))
  onTestFinished(() => rmSync(root, { recursive: true }))
  const directory = dataDirectory(root)
  const daemon = spawn(process.execPath, ['-e', 'console.log("runs"); setInterval(() => {}, 1000)'], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  if (daemon.stdout) await once(daemon.stdout, 'data')
  const pid = daemon.pid ?? 0
  const record = { ...thisRun(pid), server: 'https://127.0.0.1:1', version: '0' }
  writeFileSync(directory.daemon, JSON.stringify(record))
  expect(await findDaemon(directory)).toEqual(record)
  const letGo = hold(choose(pid, readdirSync(`/proc/${pid}/task`).map(Number)))
  const ended = once(daemon, 'exit')
  daemon.kill('SIGKILL')
  const found = findDaemon(directory)
  const first = await Promise.race([found, new Promise((resolve) => setTimeout(resolve, THAW_AFTER_MS, 'waits'))])
  expect([first, readDaemonRecord(directory)]).toEqual(['waits', record])
  letGo()
  expect(await found).toBeUndefined()
  await ended
})
