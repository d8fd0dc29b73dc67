import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { readNodeSettings } from './node-file.ts'

let directory: string
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'caisson-node-file-'))
})
afterEach(() => rmSync(directory, { recursive: true, force: true }))

function read(text: string): ReturnType<typeof readNodeSettings> {
  const file = join(directory, 'node.yaml')
  writeFileSync(file, text)
  return readNodeSettings(file)
}

test.each([
  ['hostPaths: [/srv/shared/, /data//sets]', ['/srv/shared', '/data/sets']],
  ['hostPaths: []', []],
  ['', undefined],
])('%s', async (text, hostPaths) => {
  expect(await read(text)).toEqual({ hostPaths, allowedUnsafeSysctls: undefined })
})

test('kernel parameters that Pods may have besides', async () => {
  const allowedUnsafeSysctls = ['kernel.msg*', 'net.core.somaxconn', 'net/ipv4/conf/eth0.1/*', 'fs.mqueue.*']
  const text = `allowedUnsafeSysctls: ${JSON.stringify(allowedUnsafeSysctls)}`
  expect(await read(text)).toEqual({ hostPaths: undefined, allowedUnsafeSysctls })
})

test('need not be there', async () => {
  expect(await readNodeSettings(join(directory, 'absent.yaml'))).toEqual({
    hostPaths: undefined,
    allowedUnsafeSysctls: undefined,
  })
})

test.each([
  ['hostPaths: /srv', 'hostPaths is no list of absolute paths such as /srv/shared'],
  ['hostPaths: [srv]', 'hostPaths is no list of absolute paths such as /srv/shared'],
  ['hostPath: [/srv]', 'the file has no field "hostPath": it may have hostPaths, allowedUnsafeSysctls'],
  [
    'allowedUnsafeSysctls: net.core.somaxconn',
    'allowedUnsafeSysctls is no list of kernel parameters such as kernel.msg*',
  ],
  ['allowedUnsafeSysctls: [vm.swappiness]', 'vm.swappiness is not known to have a value of its own in each Pod'],
  ['allowedUnsafeSysctls: ["*"]', '* is not known to have a value of its own in each Pod'],
  ['allowedUnsafeSysctls: ["kernel.*"]', 'kernel.* is not known to have a value of its own in each Pod'],
  ['allowedUnsafeSysctls: ["net.*.x"]', 'net.*.x is no name of a kernel parameter'],
])('%s is refused', (text, message) => expect(read(text)).rejects.toThrow(message))
