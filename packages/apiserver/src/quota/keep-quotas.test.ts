import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { builtinResources } from '../registry/builtin/index.ts'
import { createRegistry } from '../registry/registry.ts'
import { openStore } from '../storage/sqlite-store.ts'
import type { Store } from '../storage/store.ts'
import { keepQuotas } from './keep-quotas.ts'
import { namesOf } from './usage.ts'

test('quotas are measured one by one, on the account of their namespace', async () => {
  const directory = mkdtempSync(join(tmpdir(), 'quotas-'))
  await using stack = new AsyncDisposableStack()
  stack.defer(() => rmSync(directory, { recursive: true }))
  const real = stack.use(openStore({ directory }))
  const names = ['a', 'b', 'c']
  await real.write((transaction) => {
    for (const name of names) {
      const metadata = { name, namespace: 'team' }
      const spec = { hard: { configmaps: '5' } }
      transaction.put('resourcequotas', { apiVersion: 'v1', kind: 'ResourceQuota', metadata, spec })
    }
  })
  const shares: (string | undefined)[] = []
  const write: Store['write'] = (operation, share) => {
    shares.push(share)
    return real.write(operation, share)
  }
  const store = Object.create(real, { write: { value: write } }) as Store
  const registry = createRegistry(builtinResources())
  stack.use(keepQuotas({ store, registry, now: Date.now, report: () => undefined }))
  await expect
    .poll(() => names.map((name) => real.get('resourcequotas', 'team', name)?.['status']))
    .toEqual(names.map(() => ({ hard: { configmaps: '5' }, used: { configmaps: '0' } })))
  expect(shares.slice(0, names.length)).toEqual(names.map(() => 'quotas of team'))
})

test('what objects of a kind count for is not looked for among all that a quota names', () => {
  class Names extends Set<string> {
    override [Symbol.iterator](): never {
      throw new Error('looked through')
    }
  }
  const names = new Names()
  for (const name of ['configmaps', 'count/configmaps', 'count/things.example.com', 'services', 'pods']) names.add(name)
  expect(namesOf('configmaps', names)).toEqual(['count/configmaps', 'configmaps'])
  expect(namesOf('things.example.com', names)).toEqual(['count/things.example.com'])
  expect(namesOf('services', names)).toEqual(['services'])
})
