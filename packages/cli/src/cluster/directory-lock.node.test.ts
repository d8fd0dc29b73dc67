import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdirSync, mkdtempSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, onTestFinished, test } from 'vitest'
import { dataFinding } from '../commands/doctor-data.ts'
import { writeDaemonRecord } from './daemon-record.ts'
import { type DataDirectory, dataDirectory, prepareDataDirectory } from './data-directory.ts'
import { takeDirectory, tryLock } from './directory-lock.ts'
import { endDaemon } from './end-daemon.ts'

function newDirectory(): DataDirectory {
  const root = mkdtempSync(join(tmpdir(), 'caisson-lock-'))
  onTestFinished(() => rmSync(root, { recursive: true }))
  return dataDirectory(root)
}

/** Another process that has the lock and does nothing with it. */
async function holder(directory: DataDirectory) {
  const program = `
    const { tryLock } = await import(${JSON.stringify(new URL('directory-lock.ts', import.meta.url).href)})
    const { dataDirectory } = await import(${JSON.stringify(new URL('data-directory.ts', import.meta.url).href)})
    const lock = tryLock(dataDirectory(${JSON.stringify(directory.root)}))
    setInterval(() => lock, 1000)
    console.log(lock === undefined ? 'busy' : 'held')`
  const child = spawn(process.execPath, ['--input-type=module', '-e', program], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  onTestFinished(() => void child.kill('SIGKILL'))
  const [said] = (await once(child.stdout, 'data')) as [Buffer]
  expect(said.toString()).toBe('held\n')
  return child
}

test('one process has it, and nobody when that was killed', async () => {
  const directory = newDirectory()
  const other = await holder(directory)
  expect(tryLock(directory)).toBeUndefined()
  expect(statSync(directory.lock).mode & 0o777).toBe(0o600)
  const taken = takeDirectory(directory)
  const ended = once(other, 'exit')
  other.kill('SIGKILL')
  await ended
  using lock = (await taken) as Disposable
  expect([Symbol.dispose in lock, tryLock(directory)]).toEqual([true, undefined])
})

test('who waits for it is told who serves the directory as soon as somebody does', async () => {
  const directory = newDirectory()
  await holder(directory)
  const taken = takeDirectory(directory)
  writeDaemonRecord(directory, { server: 'https://127.0.0.1:1', version: '0' })
  expect(await taken).toMatchObject({ pid: process.pid, server: 'https://127.0.0.1:1' })
})

test('down gives up where another process has it and serves nothing', async () => {
  const directory = newDirectory()
  prepareDataDirectory(directory)
  await holder(directory)
  await expect(endDaemon(directory, '100ms')).rejects.toMatchObject({
    code: 'timed-out',
    message: expect.stringContaining(`another process is starting or stopping what ${directory.root} holds`) as string,
  })
})

test('down leaves nothing in a directory in which nothing was ever started', async () => {
  const directory = newDirectory()
  expect([await endDaemon(directory, '1s'), readdirSync(directory.root)]).toEqual([false, []])
})

test('doctor looks at no store that somebody has, who would find it open', async () => {
  const directory = newDirectory()
  mkdirSync(directory.objects)
  writeFileSync(join(directory.objects, 'state.db'), 'no database')
  const other = await holder(directory)
  expect(await dataFinding(directory)).toMatchObject({ state: 'ok' })
  const ended = once(other, 'exit')
  other.kill('SIGKILL')
  await ended
  expect(await dataFinding(directory)).toMatchObject({ state: 'missing' })
})
