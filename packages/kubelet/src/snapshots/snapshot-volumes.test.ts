import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { type PodDirectories, podDirectories } from '../pod-directories.ts'
import { aPod } from '../pods/observed-pod-fixtures.ts'
import { keepVolumes, restoreVolumes } from './snapshot-volumes.ts'

const pod = aPod({ spec: { containers: [], volumes: [{ name: 'data', emptyDir: {} }] } })
const uid = pod.metadata.uid ?? ''
const never = new AbortController().signal

let root: string
let directories: PodDirectories
let volume: string
let target: string
beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'caisson-snapshot-volumes-'))
  directories = podDirectories(root)
  volume = directories.volume(uid, 'data')
  target = join(root, 'kept')
  mkdirSync(volume, { recursive: true })
})
afterEach(() => rmSync(root, { recursive: true }))

/** Process ids of programs whose arguments name our directory. */
function running(): string[] {
  return readdirSync('/proc').filter((id) => {
    if (!/^\d+$/.test(id)) return false
    try {
      return readFileSync(`/proc/${id}/cmdline`, 'utf8').includes(root)
    } catch {
      return false
    }
  })
}

test('volumes come back as they were', async () => {
  writeFileSync(join(volume, 'file'), 'content')
  await keepVolumes(pod, { directories, target, signal: never })
  rmSync(join(volume, 'file'))
  await restoreVolumes(pod, { directories, source: target, signal: never })
  expect(readFileSync(join(volume, 'file'), 'utf8')).toBe('content')
})

test('a copy that takes too long is given up, with its program', async () => {
  writeFileSync(join(volume, 'file'), Buffer.alloc(64 * 1024 * 1024, 'x'))
  const kept = keepVolumes(pod, { directories, target, signal: never, longestMs: 1 })
  await expect(kept).rejects.toThrow('copying the emptyDir volumes of the Pod took longer than 0.001 s')
  await expect.poll(running).toEqual([])
})

test('a copy that nobody wants any more is given up, with its program', async () => {
  writeFileSync(join(volume, 'file'), Buffer.alloc(256 * 1024 * 1024, 'x'))
  const stop = new AbortController()
  const kept = keepVolumes(pod, { directories, target, signal: stop.signal })
  const outcome = expect(kept).rejects.toThrow('stopped')
  await expect.poll(running, { interval: 1 }).not.toEqual([])
  stop.abort(new Error('stopped'))
  await outcome
  await expect.poll(running).toEqual([])
})
