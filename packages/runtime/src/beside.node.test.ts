import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { createRuntime } from './create-runtime.ts'
import type { ContainerSpec, RuntimeHandler } from './runtime.ts'
import { busyboxArchive } from './testing/busybox-archive.ts'
import {
  containerSpec,
  createScratchRuntime,
  execText,
  openNetwork,
  type ScratchRuntime,
  sandboxSpec,
} from './testing/scratch-runtime.ts'

let scratch: ScratchRuntime
let volume: string
beforeAll(async () => {
  scratch = await createScratchRuntime({ tools: ['runsc', 'runc', 'busybox'] })
  volume = await mkdtemp(join(tmpdir(), 'caisson-volume-'))
  const archive = join(volume, 'busybox.tar')
  await writeFile(archive, await busyboxArchive(scratch.toolsDirectory))
  await scratch.runtime.images.import(archive)
}, 120_000)
afterAll(async () => {
  await scratch[Symbol.asyncDispose]()
  await rm(volume, { recursive: true, force: true })
})

const sleep = ['/bin/sleep', '1000']

async function start(id: string, sandboxId: string, changes: Partial<ContainerSpec> = {}): Promise<void> {
  await scratch.runtime.startContainer(containerSpec(scratch, id, { args: sleep, sandboxId, ...changes }))
}

async function processes(id: string): Promise<string> {
  const { stdout } = await execText(scratch.runtime, id, ['/bin/sh', '-c', 'cat /proc/[0-9]*/cmdline | tr "\\0" " "'])
  return stdout
}

describe.each<RuntimeHandler>(['runsc', 'runc'])('beside the only container of a sandbox of %s', (handler) => {
  const id = (name: string): string => `${handler}-${name}`

  test('another one has its own root and processes, and the network of the first', async () => {
    const { runtime } = scratch
    await runtime.createSandbox(sandboxSpec(id('net'), { handler, network: { kind: 'pod' } }))
    const ip = await openNetwork(runtime, id('net'))
    const serve = ['/bin/sh', '-c', 'exec python3 -m http.server 8080 --bind 127.0.0.1 --directory /sys']
    await start(id('net-1'), id('net'), { args: serve })
    await start(id('net-2'), id('net'), { image: 'busybox', beside: id('net-1') })
    const script = 'ls / | tr "\\n" " "; hostname; ip addr show eth0 || cat /proc/net/dev'
    const { stdout } = await execText(runtime, id('net-2'), ['/bin/sh', '-c', script])
    expect(stdout).toContain('sandbox')
    expect(stdout).toContain(ip)
    const fetch = 'for i in $(seq 50); do wget -q -O- http://127.0.0.1:8080/ && exit; usleep 100000; done; exit 1'
    const page = await execText(runtime, id('net-2'), ['/bin/sh', '-c', fetch])
    expect(page.stdout).toContain('Directory listing')
    expect(await processes(id('net-2'))).not.toContain('http.server')
    // It goes without the first noticing.
    await runtime.stopContainer(id('net-2'), { graceMs: 0 })
    expect((await scratch.exitOf(id('net-2'))).state).toMatchObject({ exitCode: 137, reason: 'error' })
    await runtime.removeContainer(id('net-2'))
    expect(await processes(id('net-1'))).toContain('http.server')
    await runtime.removeSandbox(id('net'))
  })

  test('another one sees the processes of the first where it is to, and can signal them', async () => {
    const { runtime } = scratch
    await runtime.createSandbox(sandboxSpec(id('pid'), { handler }))
    // The first process of all is out of the reach of what it began, on Linux.
    await start(id('pid-1'), id('pid'), { args: ['/bin/sh', '-c', 'sleep 4321; exit 7'] })
    await start(id('pid-2'), id('pid'), { image: 'busybox', beside: id('pid-1'), processesOf: id('pid-1') })
    await start(id('pid-3'), id('pid'), { image: 'busybox', beside: id('pid-1') })
    expect(await processes(id('pid-2'))).toContain('sleep 4321')
    expect(await processes(id('pid-3'))).not.toContain('sleep 4321')
    await execText(runtime, id('pid-2'), ['/bin/sh', '-c', 'kill -9 $(pidof sleep)'])
    expect((await scratch.exitOf(id('pid-1'))).state).toMatchObject({ exitCode: 7 })
    await runtime.removeSandbox(id('pid'))
  })
})

test('what is beside a container of a sentry ends with it, and the next one gets a sentry of its own', async () => {
  const { runtime } = scratch
  await runtime.createSandbox(sandboxSpec('ends', { network: { kind: 'pod' } }))
  await start('ends-1', 'ends', { args: ['/bin/sh', '-c', 'read a; exit 3'], stdin: true, stdinOnce: true })
  await start('ends-2', 'ends', { image: 'busybox', beside: 'ends-1' })
  await using streams = await runtime.attach('ends-1')
  streams.stdin?.end('\n')
  expect((await scratch.exitOf('ends-1')).state).toMatchObject({ exitCode: 3, reason: 'error' })
  expect((await scratch.exitOf('ends-2')).state).toMatchObject({ exitCode: 137 })
  await start('ends-3', 'ends')
  await start('ends-4', 'ends', { image: 'busybox', beside: 'ends-3' })
  expect((await execText(runtime, 'ends-4', ['/bin/echo', 'hello'])).stdout).toBe('hello\n')
  await expect(start('ends-5', 'ends', { beside: 'ends-1' })).rejects.toMatchObject({ code: 'not-found' })
  await runtime.removeSandbox('ends')
})

test('containers of a shared sentry see the processes of the one that they are to', async () => {
  const { runtime } = scratch
  await runtime.createSandbox(sandboxSpec('many', { shared: true }))
  await start('many-1', 'many', { args: ['/bin/sleep', '4321'] })
  await start('many-2', 'many', { args: ['/bin/sleep', '8765'] })
  await start('many-3', 'many', { image: 'busybox', processesOf: 'many-1' })
  const seen = await processes('many-3')
  expect([seen.includes('sleep 4321'), seen.includes('sleep 8765')]).toEqual([true, false])
  await runtime.removeSandbox('many')
})

test('a sandbox into which another container came cannot be kept, also when that has ended', async () => {
  const { runtime, stateDirectory } = scratch
  await runtime.createSandbox(sandboxSpec('source'))
  await start('source-1', 'source')
  await start('source-2', 'source', { image: 'busybox', beside: 'source-1' })
  const keep = () => runtime.checkpoint('source', { directory: join(stateDirectory, 'kept'), leaveRunning: true })
  await expect(keep()).rejects.toMatchObject({ code: 'snapshot-incompatible' })
  await runtime.stopContainer('source-2', { graceMs: 0 })
  await expect(keep()).rejects.toMatchObject({ code: 'snapshot-incompatible' })
  expect((await execText(runtime, 'source-1', ['/bin/echo', 'hello'])).stdout).toBe('hello\n')
  await runtime.removeSandbox('source')
})

test('a new daemon finds what is beside a container', async () => {
  const stateDirectory = await mkdtemp(join(tmpdir(), 'caisson-runtime-'))
  const options = { stateDirectory, toolsDirectory: scratch.toolsDirectory }
  const first = await createRuntime(options)
  await first.recover()
  await first.createSandbox(sandboxSpec('kept'))
  await first.startContainer(containerSpec(scratch, 'kept-1', { args: sleep, sandboxId: 'kept' }))
  await first.startContainer(containerSpec(scratch, 'kept-2', { args: sleep, sandboxId: 'kept', beside: 'kept-1' }))
  await first[Symbol.asyncDispose]()
  const second = await createRuntime(options)
  try {
    await second.recover()
    expect((await execText(second, 'kept-2', ['/bin/echo', 'hello'])).stdout).toBe('hello\n')
  } finally {
    await second.removeSandbox('kept')
    await second[Symbol.asyncDispose]()
    await rm(stateDirectory, { recursive: true, force: true })
  }
})
