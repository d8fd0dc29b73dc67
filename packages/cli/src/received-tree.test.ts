import { execFileSync } from 'node:child_process'
import { chmodSync, lstatSync, mkdirSync, mkdtempSync, readdirSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { disarm } from './received-tree.ts'

const compare = (a: string, b: string): number => (a < b ? -1 : 1)

let work: string
let root: string
beforeEach(() => {
  work = mkdtempSync(join(tmpdir(), 'caisson-received-'))
  root = join(work, 'x')
  mkdirSync(join(root, 'inner'), { recursive: true })
})
afterEach(() => rmSync(work, { recursive: true, force: true }))

test('keeps files, directories and links that stay inside', async () => {
  writeFileSync(join(root, 'inner/file'), 'kept')
  symlinkSync('inner/file', join(root, 'link'))
  symlinkSync('..', join(root, 'inner/up'))
  expect(await disarm(root)).toEqual([])
  expect([readdirSync(root).sort(compare), readdirSync(join(root, 'inner')).sort(compare)]).toEqual([
    ['inner', 'link'],
    ['file', 'up'],
  ])
})

test.each([
  ['an absolute link', '/etc/hostname'],
  ['a link out of the tree', '../../elsewhere'],
  ['a link beside the tree', '../../xy'],
  // `deep/up` may lead anywhere: what is above it is not what the letters say.
  ['a link up from what may be a link', 'deep/up/../file'],
  ['the same, at its end', '../inner/./deep/..'],
])('takes away %s', async (_what, target) => {
  symlinkSync(target, join(root, 'inner/link'))
  expect(await disarm(root)).toEqual(['x/inner/link'])
  expect(readdirSync(join(root, 'inner'))).toEqual([])
})

test('takes away a chain of links that would lead out', async () => {
  // The second one stays inside by its letters, and dangles once the first is gone.
  symlinkSync('../..', join(root, 'inner/out'))
  symlinkSync('inner/out/elsewhere', join(root, 'chain'))
  expect(await disarm(root)).toEqual(['x/inner/out'])
})

test('takes away a tree that is only a link', async () => {
  symlinkSync('inner', join(work, 'planted'))
  expect(await disarm(join(work, 'planted'))).toEqual(['planted'])
})

test('takes away FIFOs and sockets', async () => {
  execFileSync('mkfifo', [join(root, 'fifo')])
  const server = createServer()
  await new Promise<void>((done) => server.listen(join(root, 'socket'), done))
  expect((await disarm(root)).sort(compare)).toEqual(['x/fifo', 'x/socket'])
  await new Promise((done) => server.close(done))
})

test('makes programs run as whoever starts them', async () => {
  writeFileSync(join(root, 'program'), '')
  chmodSync(join(root, 'program'), 0o6755)
  chmodSync(join(root, 'inner'), 0o3775)
  expect(await disarm(root)).toEqual([])
  expect([lstatSync(join(root, 'program')).mode & 0o7777, lstatSync(join(root, 'inner')).mode & 0o7777]).toEqual([
    0o755, 0o775,
  ])
})
