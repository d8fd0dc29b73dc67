import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { expect, onTestFinished, test } from 'vitest'
import { mountPoints } from './mount-points.ts'
import type { Container, ContainerSpec, Mount, SandboxSpec } from './runtime.ts'
import { busyboxArchive } from './testing/busybox-archive.ts'
import { madeAhead, waitForMadeAhead } from './testing/made-ahead.ts'
import { processesWith } from './testing/processes.ts'
import {
  containerSpec,
  createScratchRuntime,
  execText,
  type ScratchRuntime,
  sandboxSpec,
} from './testing/scratch-runtime.ts'

const SECRET = 'known-to-one-tenant-alone'

async function scratchRuntime(): Promise<ScratchRuntime> {
  const scratch = await createScratchRuntime()
  onTestFinished(() => scratch[Symbol.asyncDispose]())
  return scratch
}

const DAEMON = fileURLToPath(new URL('./testing/forking-daemon.ts', import.meta.url))

/** Another process that keeps a sandbox, once it has. */
async function spawnDaemon(stateDirectory: string, copies: 'copies' | 'none'): Promise<ChildProcess> {
  const daemon = spawn(process.execPath, [DAEMON, stateDirectory, copies], { stdio: ['ignore', 'pipe', 'inherit'] })
  if (daemon.stdout) await once(daemon.stdout, 'data')
  return daemon
}

async function kill(daemon: ChildProcess): Promise<void> {
  daemon.kill('SIGKILL')
  await once(daemon, 'exit')
}

/** Processes of a state directory with another text in their command lines too. */
async function processesOf(stateDirectory: string, text: string): Promise<number[]> {
  const [all, some] = await Promise.all([processesWith(stateDirectory), processesWith(text)])
  return all.filter((pid) => some.includes(pid))
}

async function monitorOf(stateDirectory: string): Promise<number> {
  const [found] = await processesOf(stateDirectory, 'monitor-main.ts')
  if (found === undefined) throw new Error('no monitor')
  return found
}

/** A volume to write to, one to read, and a file, all with the owner's name in them. */
async function mountsOf({ stateDirectory }: ScratchRuntime, owner: string): Promise<Mount[]> {
  const work = join(stateDirectory, `volumes-${owner}`)
  for (const name of ['writable', 'readable']) {
    await mkdir(join(work, name), { recursive: true })
    await writeFile(join(work, name, 'name'), owner)
  }
  await writeFile(join(work, 'file'), owner)
  const bind = (name: string, readOnly: boolean): Mount => ({
    kind: 'bind',
    source: join(work, name),
    destination: `/mnt/${name}`,
    readOnly,
  })
  return [bind('writable', false), bind('readable', true), bind('file', true)]
}

const LOOP = `i=0; while :; do i=$((i+1)); sleep 0.05; done`

async function specOf(
  scratch: ScratchRuntime,
  id: string,
  changes: Partial<ContainerSpec> = {},
): Promise<ContainerSpec> {
  return containerSpec(scratch, `${id}-c`, {
    sandboxId: id,
    args: ['/bin/sh', '-c', LOOP],
    mounts: await mountsOf(scratch, id),
    ...changes,
  })
}

/** A sandbox that runs, and a snapshot of it. */
async function keepSource(scratch: ScratchRuntime, changes: Partial<ContainerSpec> = {}): Promise<string> {
  const { runtime, stateDirectory } = scratch
  await runtime.createSandbox(sandboxSpec('source', { hostname: 'source', network: { kind: 'pod' } }))
  await runtime.startContainer(await specOf(scratch, 'source', changes))
  const directory = join(stateDirectory, 'snapshot')
  await runtime.checkpoint('source', { directory, leaveRunning: true })
  return directory
}

async function restore(
  scratch: ScratchRuntime,
  id: string,
  { snapshot, ...changes }: Partial<SandboxSpec> & { snapshot: string },
): Promise<Container> {
  const spec = sandboxSpec(id, { hostname: id, network: { kind: 'pod' }, snapshot, ...changes })
  await scratch.runtime.createSandbox(spec)
  return await scratch.runtime.restoreContainer(await specOf(scratch, id), snapshot)
}

/** Whether it came into a sandbox that had been made ahead. */
function wasAhead({ stateDirectory }: ScratchRuntime, { spec }: Container): boolean {
  const text = readFileSync(join(stateDirectory, 'containers', spec.id, 'supervision.json'), 'utf8')
  return (JSON.parse(text) as { supervision: { ociId: string } }).supervision.ociId.endsWith('.blank')
}

async function said(scratch: ScratchRuntime, { spec }: Container, script: string): Promise<string> {
  const { stdout, stderr } = await execText(scratch.runtime, spec.id, ['/bin/sh', '-c', script])
  return stdout + stderr
}

test('a fork in a sandbox that was made ahead has its own volumes, name, address and bounds', async () => {
  const scratch = await scratchRuntime()
  const { runtime, stateDirectory } = scratch
  const snapshot = await keepSource(scratch)
  await waitForMadeAhead(scratch.stateDirectory, 1)
  const limits = runtime.bounded.has('memory') ? { memoryBytes: 256 * 1024 * 1024 } : {}
  const copy = await restore(scratch, 'copy', { snapshot, limits })
  expect(wasAhead(scratch, copy)).toBe(true)
  expect(await said(scratch, copy, 'cat /mnt/writable/name /mnt/readable/name /mnt/file; hostname')).toBe(
    'copycopycopycopy\n',
  )
  await said(
    scratch,
    copy,
    'echo changed > /mnt/writable/name; : > /mnt/readable/name; : > /mnt/file; touch /mnt/readable/new',
  )
  const volumes = join(stateDirectory, 'volumes-copy')
  expect(readFileSync(join(volumes, 'writable/name'), 'utf8')).toBe('changed\n')
  expect(readFileSync(join(volumes, 'readable/name'), 'utf8')).toBe('copy')
  expect(readFileSync(join(volumes, 'file'), 'utf8')).toBe('copy')
  expect(readdirSync(join(volumes, 'readable'))).toEqual(['name'])
  const [source, made] = await Promise.all([runtime.get('source'), runtime.get('copy')])
  expect(made?.ip).not.toBe(source?.ip)
  expect((await runtime.usage('copy'))?.memoryBytes ?? 1).toBeGreaterThan(0)
  // It is as good as one that was started: it is kept itself, ends, and leaves nothing.
  await runtime.checkpoint('copy', { directory: join(stateDirectory, 'again'), leaveRunning: true })
  await runtime.stopContainer(copy.spec.id, { graceMs: 0 })
  expect((await scratch.exitOf(copy.spec.id)).state).toMatchObject({ exitCode: 137, reason: 'error' })
  await runtime.removeSandbox('copy')
  expect((await mountPoints()).filter((point) => point.includes('copy-c'))).toEqual([])
})

test('a new daemon finds what came into a sandbox that was made ahead, and takes away what waits', async () => {
  const stateDirectory = await mkdtemp(join(tmpdir(), 'caisson-runtime-'))
  for (const wait of [300, 900, 1_600, 2_400]) {
    const daemon = await spawnDaemon(stateDirectory, 'copies')
    await delay(wait)
    await kill(daemon)
    await using scratch = await createScratchRuntime({ stateDirectory })
    expect(readdirSync(join(stateDirectory, 'containers')).filter((name) => name.endsWith('.blank'))).toEqual([])
    for (const { containers } of await scratch.runtime.list())
      for (const { spec, state } of containers)
        if (state.phase === 'running')
          expect((await execText(scratch.runtime, spec.id, ['/bin/echo', 'hello'])).stdout).toBe('hello\n')
    for (const { spec } of await scratch.runtime.list()) await scratch.runtime.removeSandbox(spec.id)
    // Its monitor is the only one that is left.
    expect(await processesWith(join(stateDirectory, 'runsc'))).toEqual([])
    expect((await mountPoints()).filter((point) => point.startsWith(stateDirectory))).toEqual([])
  }
  expect(await processesWith(stateDirectory)).toEqual([])
  await rm(stateDirectory, { recursive: true, force: true })
}, 120_000)

/** What is there of a sandbox made ahead, by how far it has come. */
const STEPS = {
  'its place is there': 'config.json',
  'its sandbox is being made': 'exits',
  'its sandbox is there': 'container.pid',
  'what will have it go on is being started': 'held/exits',
}

const STEP_NAMES = Object.keys(STEPS) as Array<keyof typeof STEPS>

test.for(STEP_NAMES)('a new daemon leaves nothing of what was being made, where %s', async (step) => {
  const stateDirectory = await mkdtemp(join(tmpdir(), 'caisson-runtime-'))
  const daemon = await spawnDaemon(stateDirectory, 'none')
  const root = join(stateDirectory, 'containers')
  const isThere = (name: string): boolean => name.endsWith('.blank') && existsSync(join(root, name, STEPS[step]))
  while (!readdirSync(root).some(isThere)) await delay(1)
  await kill(daemon)
  {
    await using scratch = await createScratchRuntime({ stateDirectory })
    expect(readdirSync(root).filter((name) => name.endsWith('.blank'))).toEqual([])
    expect(await processesOf(stateDirectory, '.blank')).toEqual([])
    expect((await mountPoints()).filter((point) => point.startsWith(stateDirectory))).toEqual([])
    expect((await scratch.runtime.list()).map(({ containers }) => containers.map(({ state }) => state.phase))).toEqual([
      ['running'],
    ])
  }
  expect(await processesWith(stateDirectory)).toEqual([])
})

test('what waits ends with the daemon that was killed, and what runs goes on', async () => {
  const stateDirectory = await mkdtemp(join(tmpdir(), 'caisson-runtime-'))
  const daemon = await spawnDaemon(stateDirectory, 'none')
  const ofBlanks = async (): Promise<{ processes: number; mounts: number }> => ({
    processes: (await processesOf(stateDirectory, '.blank')).length,
    mounts: (await mountPoints()).filter((point) => point.startsWith(stateDirectory) && point.includes('.blank/'))
      .length,
  })
  // All of them: what is only being made is for the next daemon to find.
  await waitForMadeAhead(stateDirectory, 5)
  const atLeast = (least: number): unknown => expect.toSatisfy((count: number) => count >= least)
  // Each has a sentry, what will have it go on, and who reaps each of these.
  expect(await ofBlanks()).toEqual({ processes: atLeast(20), mounts: 5 })
  await kill(daemon)
  await expect.poll(ofBlanks).toEqual({ processes: 0, mounts: 0 })
  await using scratch = await createScratchRuntime({ stateDirectory })
  const [sandbox] = await scratch.runtime.list()
  const id = sandbox?.containers[0]?.spec.id ?? ''
  expect((await execText(scratch.runtime, id, ['/bin/echo', 'hello'])).stdout).toBe('hello\n')
})

test('what is held ends with the monitor that was killed, and the rest with the next daemon', async () => {
  const stateDirectory = await mkdtemp(join(tmpdir(), 'caisson-runtime-'))
  const daemon = await spawnDaemon(stateDirectory, 'none')
  await waitForMadeAhead(stateDirectory, 2)
  daemon.kill('SIGSTOP')
  process.kill(await monitorOf(stateDirectory), 'SIGKILL')
  await expect.poll(() => processesOf(stateDirectory, 'held.pipe')).toEqual([])
  await kill(daemon)
  expect((await processesOf(stateDirectory, '.blank')).length).toBeGreaterThan(0)
  await using scratch = await createScratchRuntime({ stateDirectory })
  expect(await processesOf(stateDirectory, '.blank')).toEqual([])
  expect((await mountPoints()).filter((point) => point.startsWith(stateDirectory))).toEqual([])
  expect((await scratch.runtime.list()).map(({ containers }) => containers.length)).toEqual([1])
})

test('a sandbox made ahead holds nothing of the one whose snapshot it was made for', async () => {
  const scratch = await scratchRuntime()
  await keepSource(scratch, {
    env: { TOKEN: SECRET },
    args: ['/bin/sh', '-c', `KEPT=${SECRET}; ${LOOP}`],
  })
  const [directory = ''] = await waitForMadeAhead(scratch.stateDirectory, 1)
  const pid = Number(await readFile(join(directory, 'container.pid'), 'utf8'))
  const own = join(scratch.stateDirectory, 'containers/source-c')
  const looksAt = async (path: string): Promise<boolean> => (await readFile(path)).includes(SECRET)
  // The probe finds it where it is.
  expect(await looksAt(join(own, 'config.json'))).toBe(true)
  const files = readdirSync(directory, { withFileTypes: true }).filter((entry) => entry.isFile())
  for (const { name } of files) expect([name, await looksAt(join(directory, name))]).toEqual([name, false])
  for (const file of ['environ', 'cmdline', 'mountinfo']) expect(await looksAt(`/proc/${pid}/${file}`)).toBe(false)
  expect(await readFile(`/proc/${pid}/mountinfo`, 'utf8')).not.toContain('volumes-source')
  const state = join(scratch.stateDirectory, 'runsc')
  const [ofBlank = ''] = readdirSync(state).filter((name) => name.includes('.blank') && name.endsWith('.state'))
  expect(await looksAt(join(state, ofBlank))).toBe(false)
})

test.for(['its sentry', 'the monitor'])(
  'a restore is made anew where %s was killed under what waited',
  async (what) => {
    const scratch = await scratchRuntime()
    const snapshot = await keepSource(scratch)
    const [directory = ''] = await waitForMadeAhead(scratch.stateDirectory, 1)
    const [pid] =
      what === 'its sentry'
        ? [Number(await readFile(join(directory, 'container.pid'), 'utf8'))]
        : [await monitorOf(scratch.stateDirectory)]
    process.kill(pid, 'SIGKILL')
    const copy = await restore(scratch, 'copy', { snapshot })
    expect(wasAhead(scratch, copy)).toBe(false)
    expect(await said(scratch, copy, 'cat /mnt/file; hostname')).toBe('copycopy\n')
  },
)

test('there are as many as are expected, none for another shape, and none without snapshots', async () => {
  const scratch = await scratchRuntime()
  const { runtime } = scratch
  const snapshot = await keepSource(scratch)
  await waitForMadeAhead(scratch.stateDirectory, 5)
  expect(madeAhead(scratch.stateDirectory)).toHaveLength(5)
  // One that has other mounts gets a sandbox of its own.
  await runtime.createSandbox(sandboxSpec('other', { network: { kind: 'none' }, snapshot }))
  const other = await runtime.restoreContainer(await specOf(scratch, 'other'), snapshot)
  expect(wasAhead(scratch, other)).toBe(false)
  // Five at once find five.
  const copies = await Promise.all(
    Array.from({ length: 5 }, (_, index) => restore(scratch, `copy-${index}`, { snapshot })),
  )
  expect(copies.map((copy) => wasAhead(scratch, copy))).toEqual([true, true, true, true, true])
  expect(await Promise.all(copies.map((copy) => said(scratch, copy, 'cat /mnt/file; hostname')))).toEqual(
    Array.from({ length: 5 }, (_, index) => `copy-${index}copy-${index}\n`),
  )
})

test('none is made while one is restored, and as many as before after that', async () => {
  const scratch = await scratchRuntime()
  const snapshot = await keepSource(scratch)
  const [first = ''] = await waitForMadeAhead(scratch.stateDirectory, 1)
  await waitForMadeAhead(scratch.stateDirectory, 5)
  const sentry = Number(await readFile(join(first, 'container.pid'), 'utf8'))
  process.kill(sentry, 'SIGSTOP')
  const restored = restore(scratch, 'copy', { snapshot })
  await expect.poll(() => madeAhead(scratch.stateDirectory)).toHaveLength(4)
  // Far longer than nobody has to restore before another is made.
  await delay(1_500)
  expect(madeAhead(scratch.stateDirectory)).toHaveLength(4)
  process.kill(sentry, 'SIGCONT')
  expect(wasAhead(scratch, await restored)).toBe(true)
  await waitForMadeAhead(scratch.stateDirectory, 5)
})

test('an image goes with what was made ahead on it', async () => {
  const scratch = await createScratchRuntime({ tools: ['runsc', 'busybox'] })
  onTestFinished(() => scratch[Symbol.asyncDispose]())
  const { runtime, stateDirectory } = scratch
  const archive = join(stateDirectory, 'busybox.tar')
  await writeFile(archive, await busyboxArchive(scratch.toolsDirectory))
  await runtime.images.import(archive)
  await keepSource(scratch, { image: 'busybox:latest', mounts: [] })
  await waitForMadeAhead(scratch.stateDirectory, 1)
  await expect(runtime.images.remove('busybox:latest')).rejects.toThrow('a container uses the image')
  await runtime.removeSandbox('source')
  expect(await runtime.images.remove('busybox:latest')).toBe(true)
  while (madeAhead(stateDirectory).length > 0) await delay(20)
})
