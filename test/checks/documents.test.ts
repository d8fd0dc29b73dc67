import { expect, test } from 'vitest'
import { documentFaults } from './documents.ts'

const README = '# One\n\n## What `two` is, and why\n'
const files = ['README.md', 'docs/a.md', 'docs/b.md', 'packages/api/src/keys.ts', 'packages/api/src/pool/pool.ts']
const faults = (text: string): string[] =>
  documentFaults('docs/a.md', { files, read: (path) => (path === 'README.md' ? README : text) })

test('a document that names what is there has no fault', () => {
  const links =
    '[b](b.md) [packages](../packages/api) [two](../README.md#what-two-is-and-why) [here](#a-b) [web](https://x.y/z)'
  const names =
    '`keys.ts`, `pool/pool.ts`, `api/pool`, `api/pool/`, `packages/api/src/keys.ts`; `pods/exec`, `a b/c.ts`, `*.ts`'
  expect(faults(`# A b\n${links}\n${names}`)).toEqual([])
})

test('what is missing is told', () => {
  const links = '[c](c.md) [three](../README.md#three) [here](#nowhere)'
  const names = '`ool.ts`, `pool/keys.ts`, `api/tool`, `packages/api/src/tool.ts`'
  expect(faults(`${links}\n${names}`)).toEqual([
    'docs/a.md links to docs/c.md, which is not there',
    'docs/a.md links to README.md#three, and no heading there has that name',
    'docs/a.md links to docs/a.md#nowhere, and no heading there has that name',
    'docs/a.md names ool.ts, which is not there',
    'docs/a.md names pool/keys.ts, which is not there',
    'docs/a.md names api/tool, which is not there',
    'docs/a.md names packages/api/src/tool.ts, which is not there',
  ])
})

test('an object that is given to kubectl in braces is JSON', () => {
  const given = (object: string): string => `    kubectl apply -f - <<< '${object}'\n`
  expect(faults(`${given('{"a": "b"}')}${given('{a: b}')}`)).toEqual(['docs/a.md gives {a: b}, which is no JSON'])
})
