import { execFileSync } from 'node:child_process'
import { mkdtempSync, rmSync, statfsSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { KubeObject } from '@caisson/api'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { openStore } from './sqlite-store.ts'

let directory: string

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'full-'))
  execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=2m', 'tmpfs', directory])
})

afterEach(() => {
  execFileSync('umount', [directory])
  rmSync(directory, { recursive: true })
})

function configMap(name: string): KubeObject {
  return { kind: 'ConfigMap', apiVersion: 'v1', metadata: { name, namespace: 'a' }, text: 'x'.repeat(20_000) }
}

test('on a full disk every write of the batch fails, nothing changes, and later writes work again', async () => {
  await using store = openStore({ directory: join(directory, 'state') })
  const before = await store.write((transaction) => transaction.put('configmaps', configMap('before')))
  const { revision } = store
  const heard: string[] = []
  store.subscribe('configmaps', revision, ({ object }) => heard.push(object.metadata.name ?? ''))
  const filler = join(directory, 'filler')
  const { bavail, bsize } = statfsSync(directory)
  writeFileSync(filler, Buffer.alloc(bavail * bsize))

  const batch = [
    store.write((transaction) => transaction.put('configmaps', configMap('one'))),
    store.write((transaction) => transaction.delete('configmaps', before)),
    // To the batch it is deleted; to everybody else it never was.
    store.write((transaction) => {
      if (!transaction.get('configmaps', 'a', 'before')) throw new Error('not found')
    }),
  ]
  expect(await Promise.allSettled(batch)).toEqual(
    batch.map(() => ({
      status: 'rejected',
      reason: expect.objectContaining({
        reason: 'InternalError',
        message: 'the disk is full: nothing was written; free some space and try again',
      }),
    })),
  )
  expect([...store.list('configmaps')]).toEqual([before])
  expect([store.revision, heard]).toEqual([revision, []])

  rmSync(filler)
  await store.write((transaction) => transaction.put('configmaps', configMap('two')))
  expect([[...store.list('configmaps')].map(({ metadata }) => metadata.name), heard]).toEqual([
    ['before', 'two'],
    ['two'],
  ])
})
