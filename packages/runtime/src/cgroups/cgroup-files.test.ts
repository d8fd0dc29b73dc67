import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, describe, expect, test } from 'vitest'
import { cgroupFiles, parseOomKills, parseUsage, weightOfAll } from './cgroup-files.ts'
import { findCgroupTree } from './cgroup-tree.ts'
import { ownProcsFile } from './expect-join.ts'
import { openSandboxCgroups } from './sandbox-cgroups.ts'

let directory: string | undefined
afterEach(() => {
  if (directory) rmSync(directory, { recursive: true })
  directory = undefined
})

function scratch(): string {
  directory = mkdtempSync(join(tmpdir(), 'caisson-cgroups-'))
  return directory
}

const limits = { memoryBytes: 64 * 1024 * 1024, cpuMillicores: 1500, cpuRequestMillicores: 500, pids: 100 }
const said = (version: 1 | 2, of = limits): string[] =>
  cgroupFiles(version, of).map(({ controller, file, value }) => `${controller}: ${file} = ${value}`)

describe('what is written', () => {
  test('to version 1', () => {
    expect(said(1)).toEqual([
      'cpu: cpu.shares = 512',
      'cpu: cpu.cfs_period_us = 100000',
      'cpu: cpu.cfs_quota_us = 150000',
      'memory: memory.limit_in_bytes = 67108864',
      'pids: pids.max = 100',
    ])
  })

  test('to version 2', () => {
    expect(said(2)).toEqual([
      'cpu: cpu.weight = 20',
      'cpu: cpu.max = 150000 100000',
      'memory: memory.max = 67108864',
      'pids: pids.max = 100',
    ])
  })

  test.each([
    ['nothing asked for', {}, ['cpu: cpu.shares = 2']],
    ['more than the kernel counts', { cpuRequestMillicores: 1e9 }, ['cpu: cpu.shares = 262144']],
    [
      'less than the kernel measures',
      { cpuMillicores: 1 },
      ['cpu: cpu.shares = 2', 'cpu: cpu.cfs_period_us = 100000', 'cpu: cpu.cfs_quota_us = 1000'],
    ],
  ])('within bounds: %s', (_name, of, expected) => {
    expect(cgroupFiles(1, of).map(({ controller, file, value }) => `${controller}: ${file} = ${value}`)).toEqual(
      expected,
    )
  })
})

describe('what is read', () => {
  test('from version 1', () => {
    const texts = {
      cpu: '1234567\n',
      memory: '5000\n',
      memoryStat: 'cache 10\ntotal_inactive_file 2000\n',
      pids: '3\n',
    }
    expect(parseUsage(1, texts)).toEqual({
      cpuNanoseconds: 1_234_567,
      memoryBytes: 5000,
      workingSetBytes: 3000,
      pids: 3,
    })
    expect(parseOomKills('oom_kill_disable 0\nunder_oom 0\noom_kill 2\n')).toBe(2)
  })

  test('from version 2', () => {
    const cpu = 'usage_usec 1234\nuser_usec 1000\n'
    const texts = { cpu, memory: '5000\n', memoryStat: 'anon 10\ninactive_file 6000\n', pids: '3\n' }
    expect(parseUsage(2, texts)).toEqual({ cpuNanoseconds: 1_234_000, memoryBytes: 5000, workingSetBytes: 0, pids: 3 })
    expect(parseOomKills('low 0\noom 1\noom_kill 4\noom_group_kill 0\n')).toBe(4)
  })
})

describe('where control groups are', () => {
  const line = (root: string, path: string, type: string, options: string): string =>
    `30 25 0:26 ${root} ${path} rw,relatime shared:9 - ${type} ${type} ${options}`

  test('version 1, one or several controllers a mount', () => {
    const mounts = [
      line('/', '/cg/memory', 'cgroup', 'rw,memory'),
      line('/', '/cg/cpu', 'cgroup', 'rw,cpu,cpuacct'),
      line('/', '/cg/freezer', 'cgroup', 'rw,freezer'),
      line('/', '/cg/unified', 'cgroup2', 'rw'),
      line('/docker/1', '/elsewhere', 'cgroup', 'rw,pids'),
    ].join('\n')
    expect(findCgroupTree(mounts)).toEqual({
      version: 1,
      controllers: new Map([
        ['memory', '/cg/memory'],
        ['cpu', '/cg/cpu'],
        ['cpuacct', '/cg/cpu'],
      ]),
      hierarchies: ['/cg/memory', '/cg/cpu', '/cg/freezer', '/cg/unified'],
    })
  })

  test('version 2 has what its root says', () => {
    const root = scratch()
    writeFileSync(join(root, 'cgroup.controllers'), 'cpuset cpu io memory\n')
    expect(findCgroupTree(line('/', root, 'cgroup2', 'rw'))).toEqual({
      version: 2,
      controllers: new Map([
        ['memory', root],
        ['cpu', root],
      ]),
      hierarchies: [root],
    })
  })

  test('none', () => {
    expect(findCgroupTree('')).toBeUndefined()
    const root = scratch()
    writeFileSync(join(root, 'cgroup.controllers'), '\n')
    expect(findCgroupTree(line('/', root, 'cgroup2', 'rw'))).toBeUndefined()
  })
})

test('the group of version 2 that a process is in', () => {
  const tree = { version: 2, controllers: new Map([['memory', '/cg']] as const), hierarchies: ['/cg'] } as const
  expect(ownProcsFile(tree, '4:memory:/m\n1:cpu,cpuacct:/a:b/c\n0::/user:1\n')).toBe('/cg/user:1/cgroup.procs')
  // One above the namespace's root is not where its path says.
  expect(ownProcsFile(tree, '0::/../x\n')).toBeUndefined()
  expect(ownProcsFile(tree, '1:cpu:/m\n')).toBeUndefined()
})

describe('version 2, by its files', () => {
  test('controllers are handed on from the root, and limits written to the group', async () => {
    const root = scratch()
    const controllers = new Map([
      ['memory', root],
      ['cpu', root],
      ['pids', root],
    ] as const)
    const groups = openSandboxCgroups({ version: 2, controllers, hierarchies: [root] }, 'caisson-test')
    const group = await groups.create('a', limits)
    expect(group).toEqual({
      joins: [join(root, 'caisson-test/a/cgroup.procs')],
      oomFile: join(root, 'caisson-test/a/memory.events'),
    })
    expect(readFileSync(join(root, 'cgroup.subtree_control'), 'utf8')).toBe('+memory +cpu +pids')
    expect(readFileSync(join(root, 'caisson-test/cgroup.subtree_control'), 'utf8')).toBe('+memory +cpu +pids')
    expect(readdirSync(join(root, 'caisson-test/a')).sort()).toEqual([
      'cpu.max',
      'cpu.weight',
      'memory.max',
      'memory.oom.group',
      'pids.max',
    ])
    expect(await groups.get('b')).toBeUndefined()
    // Containers that have groups of their own end of them alone.
    await groups.create('c', limits, true)
    expect(readdirSync(join(root, 'caisson-test/c'))).not.toContain('memory.oom.group')
    expect(groups.containerPath('c', 'c-1')).toBe('/caisson-test/c/c-1')
    expect(groups.oomFileOf('c', 'c-1')).toBe(join(root, 'caisson-test/c/c-1/memory.events'))
  })

  test('other limits go into the very files, of a sandbox and of a container in a group of its own', async () => {
    const root = scratch()
    const controllers = new Map([
      ['memory', root],
      ['cpu', root],
    ] as const)
    const groups = openSandboxCgroups({ version: 2, controllers, hierarchies: [root] }, 'caisson-test')
    await groups.create('a', { memoryBytes: 1000, cpuMillicores: 500 })
    mkdirSync(join(root, 'caisson-test/a/a-1'))
    const files = (...path: string[]) => {
      const at = join(root, 'caisson-test', ...path)
      const names = readdirSync(at).filter((name) => /^(cpu|memory)\.max$/.test(name))
      return names.sort().map((name) => readFileSync(join(at, name), 'utf8'))
    }
    await groups.hold('a', { memoryBytes: 2000, cpuMillicores: 1500 })
    await groups.holdContainer('a', 'a-1', { memoryBytes: 1500, cpuMillicores: 1000 })
    expect([files('a'), files('a', 'a-1')]).toEqual([
      ['150000 100000', '2000'],
      ['100000 100000', '1500'],
    ])
    // What the kernel can take back does not count as in use.
    writeFileSync(join(root, 'caisson-test/a/memory.current'), '1900\n')
    writeFileSync(join(root, 'caisson-test/a/memory.stat'), 'inactive_file 500\n')
    await expect(groups.hold('a', { memoryBytes: 1400, cpuMillicores: 100 })).rejects.toThrow(
      'attempting to set memory limit (1400) below current usage (1400)',
    )
    expect(files('a')).toEqual(['150000 100000', '2000'])
    await groups.hold('a', { memoryBytes: 1401, cpuMillicores: 100 })
    expect(files('a')).toEqual(['10000 100000', '1401'])
  })
})

test('a limit that the machine cannot hold is refused, a share of the processor is not', async () => {
  const root = scratch()
  mkdirSync(join(root, 'memory'))
  const tree = {
    version: 1,
    controllers: new Map([['memory', join(root, 'memory')]] as const),
    hierarchies: [join(root, 'memory')],
  } as const
  const groups = openSandboxCgroups(tree, 'caisson-test')
  await expect(groups.create('a', { cpuMillicores: 100 })).rejects.toThrow('cannot bound cpu')
  await expect(groups.create('a', { cpuRequestMillicores: 100 })).resolves.toMatchObject({ joins: expect.any(Array) })
  const none = openSandboxCgroups(undefined, 'caisson-test')
  await expect(none.create('a', { memoryBytes: 1 })).rejects.toThrow('cannot bound memory')
  await expect(none.create('a', {})).resolves.toEqual({ joins: [], oomFile: undefined })
  expect(await none.usage('a')).toBeUndefined()
})

test('all sandboxes together weigh as much as the processors, within what the kernel takes', () => {
  const of = (version: 1 | 2, processors: number): string => Object.values(weightOfAll(version, processors)).join(' ')
  expect([of(1, 1), of(1, 2), of(1, 1_000), of(2, 2), of(2, 1_000)]).toEqual([
    'cpu cpu.shares 1024',
    'cpu cpu.shares 2048',
    'cpu cpu.shares 262144',
    'cpu cpu.weight 200',
    'cpu cpu.weight 10000',
  ])
})
