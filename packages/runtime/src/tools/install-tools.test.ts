import { mkdtemp, readdir, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import { installTools } from './install-tools.ts'
import { findTool } from './tools.ts'

// A machine that has it has nothing to fetch.
const needsCrun = (await findTool('crun', '/nonexistent')) === undefined

let directory: string
beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'caisson-tools-'))
})
afterEach(async () => {
  vi.unstubAllEnvs()
  await rm(directory, { recursive: true, force: true })
})

test.runIf(needsCrun)(
  'without an archive that answers says so, and leaves nothing',
  async () => {
    // The discard port of this machine: nobody listens.
    vi.stubEnv('CAISSON_APT_URI', 'http://127.0.0.1:9/nothing')
    vi.stubEnv('PATH', '/usr/bin:/bin')
    const installed = installTools(directory, { tools: ['crun'] })
    await expect(installed).rejects.toMatchObject({
      code: 'runtime-missing',
      message: expect.stringMatching(/^the package lists could not be fetched: .*Check the network/),
    })
    expect(await readdir(directory)).toEqual([])
  },
  60_000,
)

test.runIf(needsCrun)('without apt says what to do instead', async () => {
  vi.stubEnv('PATH', directory)
  await expect(installTools(directory, { tools: ['crun'] })).rejects.toMatchObject({
    code: 'runtime-missing',
    message: 'apt-get was not found: install runsc by hand (see gvisor.dev) so that it is in PATH',
  })
})
