/** Limits against real sandboxes: what one of them tries, its neighbour must not notice. */
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { availableParallelism } from 'node:os'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import type { RuntimeHandler } from '../runtime.ts'
import {
  containerSpec,
  createScratchRuntime,
  execText,
  type ScratchRuntime,
  sandboxSpec,
} from '../testing/scratch-runtime.ts'
import { findCgroupTree } from './cgroup-tree.ts'
import { cgroupName } from './sandbox-cgroups.ts'

const MIB = 1024 * 1024

/** Groups of the machine that belong to sandboxes of these names. */
function groupsOf(...ids: string[]): string[] {
  const roots = new Set(findCgroupTree()?.controllers.values())
  return [...roots].flatMap((root) =>
    readdirSync(root)
      .filter((name) => name.startsWith('caisson-'))
      .flatMap((name) => ids.map((id) => join(root, name, id)))
      .filter((path) => existsSync(path)),
  )
}

async function start(scratch: ScratchRuntime, id: string, script: string, limits = {}): Promise<void> {
  await scratch.runtime.createSandbox(sandboxSpec(id, { limits }))
  const args = ['/bin/sh', '-c', script]
  await scratch.runtime.startContainer(containerSpec(scratch, `${id}-1`, { sandboxId: id, args }))
}

test('a sandbox that takes more memory than it may is ended, and says why', async () => {
  await using scratch = await createScratchRuntime()
  await start(scratch, 'near', 'exec sleep 1000')
  const hog = 'exec python3 -c "b=[]\nwhile True: b.append(bytearray(1<<20))"'
  await start(scratch, 'hog', hog, { memoryBytes: 64 * MIB })
  expect((await scratch.exitOf('hog-1')).state).toMatchObject({ exitCode: 137, reason: 'oom-killed' })
  expect((await execText(scratch.runtime, 'near-1', ['/bin/echo', 'fine'])).stdout).toBe('fine\n')
  // One that was ended for something else is not said to have run out of memory.
  await scratch.runtime.removeContainer('hog-1')
  await scratch.runtime.startContainer(
    containerSpec(scratch, 'hog-2', { sandboxId: 'hog', args: ['/bin/sh', '-c', 'kill -9 $$'] }),
  )
  expect((await scratch.exitOf('hog-2')).state).toMatchObject({ exitCode: 137, reason: 'error' })
})

test('in a shared sandbox the container goes that ran out of memory, and the others stay', async () => {
  await using scratch = await createScratchRuntime()
  await scratch.runtime.createSandbox(sandboxSpec('a', { shared: true, limits: { memoryBytes: 64 * MIB } }))
  await scratch.runtime.startContainer(containerSpec(scratch, 'a-1', { sandboxId: 'a', args: ['/bin/sleep', '1000'] }))
  const args = ['python3', '-c', 'b=[]\nwhile True: b.append(bytearray(1<<20))']
  await scratch.runtime.startContainer(containerSpec(scratch, 'a-2', { sandboxId: 'a', args }))
  expect((await scratch.exitOf('a-2')).state).toMatchObject({ exitCode: 137, reason: 'oom-killed' })
  expect((await execText(scratch.runtime, 'a-1', ['/bin/echo', 'fine'])).stdout).toBe('fine\n')
})

test('a sandbox that runs can be given more and less, but not less memory than it uses', async () => {
  await using scratch = await createScratchRuntime()
  await start(scratch, 'sized', 'exec sleep 1000', { memoryBytes: 64 * MIB, cpuMillicores: 500 })
  const resize = (limits: object): Promise<void> =>
    scratch.runtime.resizeSandbox('sized', { limits, containers: new Map([['sized-1', limits]]) })
  const held = (): string[] =>
    groupsOf('sized').flatMap((group) =>
      ['memory.limit_in_bytes', 'memory.max', 'cpu.cfs_quota_us', 'cpu.max']
        .filter((file) => existsSync(join(group, file)))
        .map((file) => readFileSync(join(group, file), 'utf8').trim()),
    )
  const more = { memoryBytes: 256 * MIB, cpuMillicores: 1500 }
  await resize(more)
  const sentry = 32 * MIB
  const expected = (bytes: number, quota: number) =>
    findCgroupTree()?.version === 1
      ? [String(bytes + sentry), String(quota)]
      : [String(bytes + sentry), `${quota} 100000`]
  expect(held().sort()).toEqual(expected(256 * MIB, 150_000).sort())
  await expect(resize({ memoryBytes: 4096 - sentry })).rejects.toThrow('below current usage')
  const [sandbox] = await scratch.runtime.list()
  expect([sandbox?.spec.limits, sandbox?.containers[0]?.spec.limits]).toEqual([more, more])
  await resize({ memoryBytes: 128 * MIB, cpuMillicores: 200 })
  expect(held().sort()).toEqual(expected(128 * MIB, 20_000).sort())
})

test('a fork bomb ends at the sandbox that it is in', async () => {
  await using scratch = await createScratchRuntime()
  await start(scratch, 'near', 'exec sleep 1000')
  await start(scratch, 'bomb', 'b() { b | b & }; b; exec sleep 1000', {
    pids: 200,
    memoryBytes: 512 * MIB,
    cpuMillicores: 500,
  })
  const most: number[] = []
  const look = async (): Promise<number> => {
    expect((await execText(scratch.runtime, 'near-1', ['/bin/echo', 'fine'])).stdout).toBe('fine\n')
    most.push((await scratch.runtime.usage('bomb'))?.pids ?? 0)
    return Math.max(...most)
  }
  // It goes off, and then the other is looked at beside it.
  while ((await look()) <= 50);
  for (let times = 0; times < 10; times++) await look()
  expect(Math.max(...most)).toBeLessThanOrEqual(200 + 256)
  await scratch.runtime.removeSandbox('bomb')
  expect(groupsOf('bomb')).toEqual([])
})

test('a sandbox gets no more of the processors than it may', async () => {
  await using scratch = await createScratchRuntime()
  await start(scratch, 'busy', 'while :; do :; done', { cpuMillicores: 200 })
  const first = await scratch.runtime.usage('busy')
  const began = process.hrtime.bigint()
  await execText(scratch.runtime, 'busy-1', ['/bin/sleep', '3'])
  const elapsed = Number(process.hrtime.bigint() - began)
  const used = ((await scratch.runtime.usage('busy'))?.cpuNanoseconds ?? 0) - (first?.cpuNanoseconds ?? 0)
  expect(used / elapsed).toBeGreaterThan(0.05)
  expect(used / elapsed).toBeLessThan(0.3)
})

test('on a machine that is busy they count as much as its own processes, on each processor', async () => {
  await using scratch = await createScratchRuntime()
  await start(scratch, 'weighed', 'exec sleep 1000')
  const tree = findCgroupTree()
  const group = groupsOf('weighed').find((path) => path.startsWith(`${tree?.controllers.get('cpu')}/`)) ?? ''
  const [file, ofOne] = tree?.version === 1 ? ['cpu.shares', 1024] : ['cpu.weight', 100]
  expect(Number(readFileSync(join(group, '..', file), 'utf8'))).toBe(ofOne * availableParallelism())
})

test('what it uses is counted, and its group goes with it, also when nobody was there to see it', async () => {
  const scratch = await createScratchRuntime()
  const ours = readFileSync('/proc/self/cgroup', 'utf8')
  try {
    await start(scratch, 'counted', 'exec sleep 1000')
    expect(readFileSync('/proc/self/cgroup', 'utf8')).toBe(ours)
    const usage = await scratch.runtime.usage('counted')
    expect(usage?.memoryBytes).toBeGreaterThan(MIB)
    expect(usage?.workingSetBytes).toBeLessThanOrEqual(usage?.memoryBytes ?? 0)
    expect(usage?.cpuNanoseconds).toBeGreaterThan(1_000_000)
    expect(groupsOf('counted').length).toBeGreaterThan(0)
    await scratch.runtime.removeSandbox('counted')
    expect(groupsOf('counted')).toEqual([])
    expect(await scratch.runtime.usage('counted')).toBeUndefined()
  } finally {
    await scratch[Symbol.asyncDispose]()
  }
})

describe.each<RuntimeHandler>(['runc', 'runc-v2'])('what bounds a sandbox of %s', (handler) => {
  const tools = ['runc', 'containerd-shim-runc-v2', 'busybox'] as const
  const sleeping = ['/bin/sleep', '1000']
  const readNumbers = (path: string, files: readonly string[]): string[] =>
    files.filter((file) => existsSync(join(path, file))).map((file) => readFileSync(join(path, file), 'utf8').trim())

  test('bounds all of its containers together, and nothing of it stays in any hierarchy', async () => {
    await using scratch = await createScratchRuntime({ tools: [...tools] })
    const limits = { memoryBytes: 64 * MIB, cpuMillicores: 500, pids: 100 }
    await scratch.runtime.createSandbox(sandboxSpec('whole', { handler, shared: true, limits }))
    const container = (id: string, args: string[], more = {}) =>
      scratch.runtime.startContainer(containerSpec(scratch, id, { sandboxId: 'whole', args, ...more }))
    // Asks for more than the whole may have.
    await container('whole-1', sleeping, { limits: { cpuMillicores: 900 } })
    await container('whole-2', ['python3', '-c', 'b=[]\nwhile True: b.append(bytearray(1<<20))'])
    expect((await scratch.exitOf('whole-2')).state).toMatchObject({ exitCode: 137, reason: 'oom-killed' })
    expect((await execText(scratch.runtime, 'whole-1', ['/bin/echo', 'fine'])).stdout).toBe('fine\n')
    const usage = await scratch.runtime.usage('whole')
    expect(usage?.memoryBytes).toBeGreaterThan(0)
    expect(usage?.pids).toBeGreaterThanOrEqual(2)
    const name = cgroupName(scratch.stateDirectory)
    const left = () =>
      ['', ...readdirSync('/sys/fs/cgroup')].filter((root) => existsSync(join('/sys/fs/cgroup', root, name, 'whole')))
    expect(left().length).toBeGreaterThan(0)
    await scratch.runtime.removeSandbox('whole')
    expect(left()).toEqual([])
  })

  test('and each of them change together, whichever way', async () => {
    await using scratch = await createScratchRuntime({ tools: [...tools] })
    const sized = (cpuMillicores: number, memory: number) => ({ cpuMillicores, memoryBytes: memory * MIB })
    await scratch.runtime.createSandbox(sandboxSpec('both', { handler, shared: true, limits: sized(800, 96) }))
    for (const id of ['both-1', 'both-2']) {
      const spec = containerSpec(scratch, id, { sandboxId: 'both', args: sleeping, limits: sized(400, 48) })
      await scratch.runtime.startContainer(spec)
    }
    const quota = findCgroupTree()?.version === 1 ? 'cpu.cfs_quota_us' : 'cpu.max'
    const quotas = () =>
      groupsOf('both')
        .filter((group) => existsSync(join(group, quota)))
        .flatMap((group) => ['', 'both-1', 'both-2'].flatMap((id) => readNumbers(join(group, id), [quota])))
        .map((text) => Number.parseInt(text, 10))
    expect(quotas()).toEqual([80_000, 40_000, 40_000])
    const resize = (one: number, other: number) =>
      scratch.runtime.resizeSandbox('both', {
        limits: sized(one + other, 96),
        containers: new Map([
          ['both-1', sized(one, 48)],
          ['both-2', sized(other, 48)],
        ]),
      })
    for (const [one, other] of [
      [900, 700],
      [100, 1200],
      [50, 60],
    ] as const) {
      await resize(one, other)
      expect(quotas()).toEqual([one + other, one, other].map((each) => each * 100))
    }
  })
})
