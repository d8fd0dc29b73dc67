import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, onTestFinished, test } from 'vitest'
import { podDirectories } from '../pod-directories.ts'
import { openHeldVolumes } from './held-volumes.ts'

test('a volume is in use until nothing is left of the last Pod that has it, also for the next agent', async () => {
  const root = await mkdtemp(join(tmpdir(), 'caisson-held-'))
  onTestFinished(() => rm(root, { recursive: true }))
  const directories = podDirectories(root)
  const uids = ['one', 'two', 'none']
  for (const uid of uids) await mkdir(directories.pod(uid), { recursive: true })
  const first = await openHeldVolumes(directories, uids)
  for (const [uid, directory] of [
    ['one', '/a'],
    ['one', '/b'],
    ['one', '/b'],
    ['two', '/a'],
  ] as const)
    await first.hold(uid, directory)

  const next = await openHeldVolumes(directories, uids)
  const left: string[][] = []
  next.onLeft((directories) => left.push([...directories]))
  const inUse = (): string[] => ['/a', '/b', '/c'].filter((directory) => next.has(directory))
  expect(inUse()).toEqual(['/a', '/b'])
  next.leave('one')
  expect(inUse()).toEqual(['/a'])
  next.leave('none')
  next.leave('two')
  expect(inUse()).toEqual([])
  expect(left).toEqual([['/b'], ['/a']])
})

test('what a crash of the machine has left of the file of a Pod keeps no agent from beginning', async () => {
  const root = await mkdtemp(join(tmpdir(), 'caisson-held-'))
  onTestFinished(() => rm(root, { recursive: true }))
  const directories = podDirectories(root)
  await mkdir(directories.pod('one'), { recursive: true })
  await writeFile(directories.heldVolumes('one'), '')
  const next = await openHeldVolumes(directories, ['one'])
  await next.hold('one', '/a')
  expect((await openHeldVolumes(directories, ['one'])).has('/a')).toBe(true)
})
