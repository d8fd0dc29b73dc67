import { execFileSync } from 'node:child_process'
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { mountPoints, unmountBelow } from '../mount-points.ts'
import type { Mount } from '../runtime.ts'
import { mountReadOnlyBinds, throughReadOnlyBinds } from './read-only-binds.ts'

let work: string
let directory: string
let mounts: Mount[]
beforeEach(() => {
  work = mkdtempSync(join(tmpdir(), 'caisson-binds-'))
  directory = join(work, 'container')
  for (const name of ['container', 'volume', 'volume/inner']) mkdirSync(join(work, name))
  for (const name of ['volume/file', 'single']) writeFileSync(join(work, name), 'kept')
  execFileSync('mount', ['-t', 'tmpfs', 'caisson-test', join(work, 'volume/inner')])
  writeFileSync(join(work, 'volume/inner/file'), 'kept')
  const bind = (name: string, readOnly: boolean): Mount => ({
    kind: 'bind',
    source: join(work, name),
    destination: `/${name}`,
    readOnly,
  })
  mounts = [bind('volume', false), bind('volume', true), bind('single', true)]
})
afterEach(async () => {
  await unmountBelow(directory)
  execFileSync('umount', [join(work, 'volume/inner')])
  rmSync(work, { recursive: true, force: true })
})

const empty = (path: string): void => writeFileSync(path, '')

test('what is bound read-only is read-only to the machine, mounts within it too, and what is not stays as it is', async () => {
  const sources = throughReadOnlyBinds(directory, mounts).map(({ source }) => source ?? '')
  await mountReadOnlyBinds(directory, mounts)
  const [writable = '', volume = '', single = ''] = sources
  expect(writable).toBe(join(work, 'volume'))
  for (const path of [join(volume, 'file'), join(volume, 'inner/file'), single]) {
    expect(() => empty(path)).toThrow('EROFS')
    expect(readFileSync(path, 'utf8')).toBe('kept')
  }
  for (const path of ['file', 'inner/file']) {
    empty(join(writable, path))
    expect(readFileSync(join(volume, path), 'utf8')).toBe('')
  }
})

test('it goes with the container, and nothing of it stays', async () => {
  await mountReadOnlyBinds(directory, mounts)
  expect((await mountPoints()).filter((point) => point.startsWith(directory))).toHaveLength(3)
  await unmountBelow(directory)
  await unmountBelow(directory)
  expect((await mountPoints()).filter((point) => point.startsWith(directory))).toEqual([])
})

test('where it cannot be mounted, that is an error', async () => {
  const gone: Mount = { kind: 'bind', source: join(work, 'gone'), destination: '/gone', readOnly: true }
  await expect(mountReadOnlyBinds(directory, [gone])).rejects.toThrow('is not there')
})
