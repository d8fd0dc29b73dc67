import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { readManifests } from './manifest-files.ts'

let directory: string
beforeAll(() => {
  directory = mkdtempSync(join(tmpdir(), 'caisson-manifests-'))
})
afterAll(() => rmSync(directory, { recursive: true }))

function written(content: string | Buffer, name = 'app.yaml'): string {
  const file = join(directory, name)
  writeFileSync(file, content)
  return file
}

const CONFIG = 'apiVersion: v1\nkind: ConfigMap\nmetadata: {name: one}\n'
const object = { apiVersion: 'v1', kind: 'ConfigMap', metadata: { name: 'one' } }

test('objects have the place that they stand at, in documents and in lists as kubectl prints them', () => {
  const list = JSON.stringify({ apiVersion: 'v1', kind: 'List', items: [object, object] })
  const file = written(`${CONFIG}---\n# nothing\n---\n${list}\n`)
  expect(readManifests([file])).toEqual({
    objects: [
      { object, place: `${file}, document 1 (ConfigMap one)` },
      { object, place: `${file}, document 3, item 1 (ConfigMap one)` },
      { object, place: `${file}, document 3, item 2 (ConfigMap one)` },
    ],
    failures: [],
  })
})

test.each([
  [
    'broken',
    `${CONFIG}---\nmetadata: {name: x\ndata: 1\n`,
    /^FILE, line 6, column 1: Flow map in block collection .*}$/,
  ],
  ['twice the same key', 'a: 1\na: 2\n', /^FILE, line 2, column 1: Map keys must be unique$/],
  ['empty', '# nothing\n', 'FILE holds no object: write one with apiVersion, kind and metadata.name'],
  ['without a name', `${CONFIG}---\n${CONFIG.replace('name', 'nam')}`, /^FILE, document 2: expected an object with /],
  ['with a number for its version', CONFIG.replace('v1', '1'), /^FILE, document 1: expected an object with .* text$/],
  ['an alias of nothing', 'a: *b\n', /^FILE, document 1: .*: write out what its aliases stand for$/],
  ['no text', Buffer.from([0x61, 0xff]), 'FILE is no text in UTF-8: name a file of YAML or JSON'],
] as const)('a file that is %s gives none of its objects', (_, content, message) => {
  const file = written(content)
  const { objects, failures } = readManifests([file])
  expect(objects).toEqual([])
  expect(failures).toMatchObject([{ code: 'usage' }])
  const said = failures[0]?.message.replace(file, 'FILE')
  if (typeof message === 'string') expect(said).toBe(message)
  else expect(said).toMatch(message)
})

test('a file that is not there, and a directory, keep no other from being read', () => {
  const file = written(CONFIG)
  const { objects, failures } = readManifests(['/nope', directory, file])
  expect(objects).toHaveLength(1)
  expect(failures.map(({ code, message }) => [code, message])).toEqual([
    ['not-found', '/nope does not exist: name a file that does, or - for standard input'],
    ['usage', `${directory} is a directory: name its files, each with a -f of its own`],
  ])
})
