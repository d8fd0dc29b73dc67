/** With the machine's real routes: several clusters of one machine, and what a reboot leaves. */
import { createHash } from 'node:crypto'
import { mkdir, mkdtemp, rename, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { installTools } from '../tools/install-tools.ts'
import { runCommand } from '../tools/run-command.ts'
import { defaultToolsDirectory } from '../tools/tools.ts'
import { ipJson } from './ip-command.ts'
import type { PodNetwork } from './network.ts'
import { findStrayNetworks, removeStrayNetwork } from './network-register.ts'
import { createPodNetwork } from './pod-network.ts'

const toolsDirectory = defaultToolsDirectory()
let stack: AsyncDisposableStack
beforeEach(async () => {
  await installTools(toolsDirectory, { tools: ['nft'] })
  stack = new AsyncDisposableStack()
})
afterEach(() => stack.disposeAsync())

async function stateDirectory(): Promise<string> {
  const directory = await mkdtemp(join(tmpdir(), 'caisson-network-'))
  stack.defer(() => rm(directory, { recursive: true }))
  return directory
}

async function createIn(directory: string, cidr?: string): Promise<PodNetwork> {
  const network = await createPodNetwork({
    stateDirectory: directory,
    toolsDirectory,
    cidr: () => cidr,
    run: runCommand,
  })
  stack.defer(() => network.close())
  return network
}

/** That nobody takes who is not told to: other tests come and go meanwhile. */
const OWN_RANGE = '10.199.0.0/16'

/** Nothing is left of its network but the files. */
async function forgetByReboot(directory: string): Promise<void> {
  await rename(directory, `${directory}.away`)
  const stray = (await findStrayNetworks()).find((each) => each.stateDirectory === directory)
  if (stray) await removeStrayNetwork(stray, toolsDirectory)
  await rename(`${directory}.away`, directory)
}

test('clusters that start at the same moment have networks of their own', async () => {
  const networks = await Promise.all(Array.from({ length: 4 }, async () => createIn(await stateDirectory())))
  const places = await Promise.all(networks.map((network) => network.open()))
  expect(new Set(places.map(({ range }) => range)).size).toBe(4)
})

test('a network that cannot be written into the register is not taken: nobody would ever find it again', async () => {
  const directory = await stateDirectory()
  const tag = createHash('sha256').update(directory).digest('hex').slice(0, 6)
  const entry = join('/run/caisson/networks', tag)
  await mkdir(entry, { recursive: true })
  stack.defer(() => rm(entry, { recursive: true, force: true }))
  const network = await createIn(directory, OWN_RANGE)
  await expect(network.open()).rejects.toThrow('EISDIR')
  expect(JSON.stringify(await ipJson(['-4', 'addr', 'show', 'dev', 'lo']))).not.toContain(tag)
  await rm(entry, { recursive: true })
  expect((await network.open()).range).toBe(OWN_RANGE)
})

test('what says which network is its own may be empty after a crash, and where it cannot be read none is chosen anew', async () => {
  const [crashed, unreadable] = [await stateDirectory(), await stateDirectory()]
  await mkdir(join(crashed, 'network'))
  await writeFile(join(crashed, 'network/network.json'), '')
  expect((await (await createIn(crashed, OWN_RANGE)).open()).range).toBe(OWN_RANGE)
  const file = join(unreadable, 'network/network.json')
  await mkdir(file, { recursive: true })
  await expect((await createIn(unreadable)).open()).rejects.toThrow(`${file} cannot be read`)
})

test('where it cannot be known who has addresses, what an earlier process left is not passed over', async () => {
  const directory = await stateDirectory()
  await mkdir(join(directory, 'network'))
  await writeFile(join(directory, 'network/addresses'), '')
  await expect((await createIn(directory, OWN_RANGE)).recover(new Set())).rejects.toThrow('ENOTDIR')
})

test('a network that another has taken meanwhile is left to it', async () => {
  const directory = await stateDirectory()
  const before = await createIn(directory, OWN_RANGE)
  await before.open()
  const { ip } = await before.attach('sandbox')
  await before.close()
  await forgetByReboot(directory)
  const other = await createIn(await stateDirectory(), OWN_RANGE)
  await other.open()

  const after = await createIn(directory)
  await after.recover(new Set(['sandbox']))
  expect((await after.open()).range).not.toBe(OWN_RANGE)
  expect(after.get('sandbox')?.ip).not.toBe(ip)
  await after.detach('sandbox')
  const third = await createIn(await stateDirectory(), OWN_RANGE)
  await expect(third.open()).rejects.toThrow(`another cluster of this machine has the network ${OWN_RANGE}`)
})
