import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { readImageSettings } from './images-file.ts'

let directory: string
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'caisson-images-file-'))
})
afterEach(() => rmSync(directory, { recursive: true, force: true }))

function read(text: string): ReturnType<typeof readImageSettings> {
  const file = join(directory, 'images.yaml')
  writeFileSync(file, text)
  return readImageSettings(file)
}

test('says where images come from and what they may take', async () => {
  const text = `
maxBytes: 20Gi
mirrors:
  docker.io: [https://mirror:5000]
hosts:
  mirror:5000: { caFile: mirror.pem }
  127.0.0.1:5000:
`
  expect(await read(text)).toEqual({
    maxBytes: 20 * 2 ** 30,
    registries: {
      mirrors: { 'docker.io': ['https://mirror:5000'] },
      hosts: { 'mirror:5000': { caFile: join(directory, 'mirror.pem') }, '127.0.0.1:5000': {} },
    },
  })
})

test('cannot be a directory', async () => {
  await expect(readImageSettings(directory)).rejects.toThrow(
    / cannot be read \(EISDIR.*\): correct it, or take it away$/,
  )
})

test('need not be there', async () => {
  const none = { registries: {}, maxBytes: undefined }
  expect(await readImageSettings(join(directory, 'absent.yaml'))).toEqual(none)
})

test.each([
  ['hosts: [', /^\S*images.yaml, line \d, column \d: Flow sequence .* with a ]: correct it, or take it away$/],
  ['a: *b', /images.yaml: Unresolved alias .*: correct it, or take it away$/],
  ['mirror: {}', 'the file has no field "mirror": it may have mirrors, hosts, maxBytes'],
  ['mirrors: { a: https://b }', 'mirrors.a is no list of URLs such as https://mirror:5000'],
  ['mirrors: { a: [https://b/path] }', 'mirrors.a is no list of URLs such as https://mirror:5000'],
  ['hosts: { a: { insecure: true } }', 'hosts.a has no field "insecure": it may have caFile, plainHttp, skipVerify'],
  ['hosts: { a: { plainHttp: yes please } }', 'hosts.a.plainHttp is no boolean'],
  ['hosts: []', 'hosts is no mapping'],
  ['maxBytes: lots', 'maxBytes is no number of bytes such as 20Gi'],
])('%s is refused', (text, message) => expect(read(text)).rejects.toThrow(message))
