import { chmodSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import { userCredentials } from './docker-config.ts'

let directory: string
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'caisson-docker-'))
  vi.stubEnv('PATH', `${directory}:${process.env['PATH']}`)
})
afterEach(() => {
  vi.unstubAllEnvs()
  rmSync(directory, { recursive: true })
})

/** What a helper program that prints this makes of it. */
async function helped(output: string) {
  const helper = join(directory, 'docker-credential-test')
  writeFileSync(helper, `#!/bin/sh\ncat >/dev/null\nprintf %s '${output}'\n`)
  chmodSync(helper, 0o700)
  writeFileSync(join(directory, 'config.json'), JSON.stringify({ credsStore: 'test' }))
  return await userCredentials({ DOCKER_CONFIG: directory })('registry.test', 'app')
}

test('a helper gives a name with a password, or a token', async () => {
  expect(await helped('{"Username": "a", "Secret": "b"}')).toEqual([{ username: 'a', password: 'b' }])
  expect(await helped('{"Username": "<token>", "Secret": "b"}')).toEqual([{ identityToken: 'b' }])
})

test.each(['hunter2', '"hunter2"', '{"Secret": "hunter2"}', '{"Username": "a", "Secret": ["hunter2"]}'])(
  'what a helper says is not told where it makes no sense: %s',
  async (output) => {
    const said = await helped(output).then(
      () => 'nothing',
      (error: Error) => `${error.message} ${String(error.cause)}`,
    )
    expect(said).toMatch(/^docker-credential-test answered with no credentials: log in again, /)
    expect(said).not.toContain('hunter2')
  },
)

test.each(['{"auths": {"registry.test": {"auth": "aHVudGVyMg=="', 'null', '"hunter2"'])(
  'a configuration that is none is said to be, without its content: %s',
  (text) => {
    writeFileSync(join(directory, 'config.json'), text)
    expect(() => userCredentials({ DOCKER_CONFIG: directory })).toThrow(/config\.json is no JSON object: correct it/)
  },
)

test('a configuration that cannot be read is not taken for one that is not there', async () => {
  expect(await userCredentials({ DOCKER_CONFIG: directory })('registry.test', 'app')).toEqual([])
  mkdirSync(join(directory, 'config.json'))
  expect(() => userCredentials({ DOCKER_CONFIG: directory })).toThrow(/config\.json cannot be read \(EISDIR\): /)
})
