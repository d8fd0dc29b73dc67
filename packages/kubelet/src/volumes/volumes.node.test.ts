import { execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import { chmod, lstat, mkdir, mkdtemp, readdir, readFile, readlink, stat, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { checkHostPath } from './host-path.ts'
import { mountPointsBelow, mountTmpfs } from './mounts.ts'
import { giveToGroup } from './ownership.ts'
import { type ProjectedFile, writeProjection } from './projection.ts'
import { removeTree } from './remove-tree.ts'
import { bindSubPath } from './sub-path.ts'

let directory: string
let volume: string
let outside: string
let target: string
beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'caisson-volumes-'))
  volume = join(directory, 'volume')
  outside = join(directory, 'outside')
  target = join(directory, 'private', 'target')
  await mkdir(volume)
  await mkdir(outside)
  await writeFile(join(outside, 'secret'), 'of the host')
})
afterEach(() => removeTree(directory))

const bind = (subPath: string) => bindSubPath({ volume, subPath, target })

describe('bindSubPath', () => {
  test('shows the part of the volume, and what is written to it later', async () => {
    await mkdir(join(volume, 'a/b'), { recursive: true })
    await bind('a//./b/')
    await writeFile(join(volume, 'a/b/file'), 'there')
    expect(await readFile(join(target, 'file'), 'utf8')).toBe('there')
  })

  test('shows a single file', async () => {
    await writeFile(join(volume, 'file'), 'content')
    await bind('file')
    expect(await readFile(target, 'utf8')).toBe('content')
    expect((await stat(target)).ino).toBe((await stat(join(volume, 'file'))).ino)
  })

  test('makes what is missing, as open and owned as the volume', async () => {
    await chmod(volume, 0o2775)
    execFileSync('chown', ['1000:2000', volume])
    await bind('new/deep')
    const made = await stat(join(volume, 'new/deep'))
    expect([made.mode & 0o7777, made.uid, made.gid]).toEqual([0o2775, 1000, 2000])
    expect((await stat(target)).ino).toBe(made.ino)
  })

  test('follows links that stay inside, as those of a ConfigMap do', async () => {
    await mkdir(join(volume, '..v1'))
    await writeFile(join(volume, '..v1/key'), 'value')
    await symlink('..v1', join(volume, '..data'))
    await symlink('..data/key', join(volume, 'key'))
    await mkdir(join(volume, 'dir'))
    await symlink('../key', join(volume, 'dir/up'))
    await bind('dir/up')
    expect(await readFile(target, 'utf8')).toBe('value')
  })

  test.each<[name: string, make: () => Promise<unknown>, subPath: string]>([
    ['a link to an absolute path', () => symlink(outside, join(volume, 'link')), 'link'],
    ['a link on the way', () => symlink(outside, join(volume, 'link')), 'link/secret'],
    ['a link that climbs out', () => symlink('../outside', join(volume, 'link')), 'link'],
    [
      'a link that climbs out from below',
      () => mkdir(join(volume, 'd')).then(() => symlink('../../outside', join(volume, 'd/l'))),
      'd/l/secret',
    ],
    ['a link to the root', () => symlink('/', join(volume, 'link')), 'link/etc'],
    ['a link to another process', () => symlink('/proc/self/root', join(volume, 'link')), 'link'],
    [
      'a chain of links that ends outside',
      () => symlink('b', join(volume, 'a')).then(() => symlink('../outside', join(volume, 'b'))),
      'a',
    ],
    ['a link to itself', () => symlink('loop', join(volume, 'loop')), 'loop'],
    ['parents', async () => undefined, '../outside'],
    ['an absolute path', async () => undefined, '/etc'],
    ['a directory within a file', () => writeFile(join(volume, 'file'), ''), 'file/inside'],
  ])('refuses %s, and mounts nothing', async (_name, make, subPath) => {
    await make()
    await expect(bind(subPath)).rejects.toThrow()
    expect(await mountPointsBelow(directory)).toEqual([])
    expect(await readdir(outside)).toEqual(['secret'])
  })

  test('holds no more files open than a way of 128 directories needs, however long it is', async () => {
    const deepest = 'd/'.repeat(128)
    await bind(deepest)
    expect((await stat(target)).ino).toBe((await stat(join(volume, deepest))).ino)
    await expect(bind('e/'.repeat(3_000))).rejects.toThrow('the subPath leads deeper than 128 directories')
    // Its 128 directories are made; of one that is a link of as many there is none more.
    await symlink('e/'.repeat(127), join(volume, 'link'))
    await expect(bind('link/e/e')).rejects.toThrow('the subPath leads deeper than 128 directories')
  })

  test('never shows what is outside, however fast a container swaps a directory for a link', async () => {
    await mkdir(join(volume, 'real'))
    await writeFile(join(volume, 'real/mine'), '')
    await symlink('../outside', join(volume, 'evil'))
    // Atomically exchanges the two names, as fast as it can.
    const script = `
import ctypes, sys
libc = ctypes.CDLL(None)
a, b = sys.argv[1].encode(), sys.argv[2].encode()
print('swapping', flush=True)
while True:
    libc.renameat2(-100, a, -100, b, 2)
`
    const swapper = spawn('python3', ['-c', script, join(volume, 'real'), join(volume, 'evil')])
    const exited = once(swapper, 'exit')
    await once(swapper.stdout, 'data')
    const seen = new Set<string>()
    try {
      for (let round = 0; round < 100; round++) {
        try {
          await bind('real')
          for (const name of await readdir(target)) seen.add(name)
        } catch {
          seen.add('refused')
        }
      }
    } finally {
      swapper.kill('SIGKILL')
      await exited
    }
    expect(seen.has('secret')).toBe(false)
    // Both sides of the race were met.
    expect([...seen].sort()).toEqual(['mine', 'refused'])
  })

  test('shows the newest part after another one', async () => {
    await mkdir(join(volume, 'one'))
    await writeFile(join(volume, 'two'), 'a file now')
    await bind('one')
    await bind('two')
    expect(await readFile(target, 'utf8')).toBe('a file now')
    expect(await mountPointsBelow(directory)).toEqual([target])
  })
})

describe('removeTree', () => {
  test('unmounts what is mounted in it, and deletes none of that', async () => {
    await mkdir(join(volume, 'part'))
    await writeFile(join(volume, 'part/kept'), 'kept')
    await bind('part')
    const memory = join(directory, 'private', 'with space')
    await mkdir(memory)
    await mountTmpfs(memory, { sizeBytes: 1024 * 1024, mode: 0o777 })
    await removeTree(join(directory, 'private'))
    expect(await readdir(directory)).toEqual(['outside', 'volume'])
    expect(await readFile(join(volume, 'part/kept'), 'utf8')).toBe('kept')
    expect(await mountPointsBelow(directory)).toEqual([])
  })

  test('removes directories that are nested deeper than a path is long, and links without following them', async () => {
    await symlink(outside, join(volume, 'link'))
    execFileSync('python3', [
      '-c',
      `
import os, sys
os.chdir(sys.argv[1])
for i in range(3000):
    os.mkdir('deeper'); os.chdir('deeper')
`,
      volume,
    ])
    await removeTree(volume)
    expect(await readdir(directory)).toEqual(['outside'])
    expect(await readdir(outside)).toEqual(['secret'])
  })
})

describe('giveToGroup', () => {
  const never = new AbortController().signal

  test('gives everything to the group, follows no link, and opens what is there to it', async () => {
    await mkdir(join(volume, 'dir'), { mode: 0o700 })
    await writeFile(join(volume, 'dir/file'), '', { mode: 0o600 })
    await writeFile(join(volume, 'script'), '', { mode: 0o750 })
    await symlink('../outside/secret', join(volume, 'link'))
    execFileSync('python3', ['-c', 'import os, sys; os.mkfifo(sys.argv[1], 0o600)', join(volume, 'fifo')])
    const before = await stat(join(outside, 'secret'))
    await giveToGroup(volume, { group: 2000, readOnly: false, onlyOnMismatch: false, signal: never })
    const found = async (path: string) => {
      const { gid, mode } = await lstat(join(volume, path))
      return [gid, (mode & 0o7777).toString(8)]
    }
    expect(
      Object.fromEntries(
        await Promise.all(['', 'dir', 'dir/file', 'script', 'fifo'].map(async (path) => [path, await found(path)])),
      ),
    ).toEqual({
      '': [2000, '2775'],
      dir: [2000, '2770'],
      'dir/file': [2000, '660'],
      script: [2000, '770'],
      fifo: [2000, '660'],
    })
    expect((await found('link'))[0]).toBe(2000)
    const after = await stat(join(outside, 'secret'))
    expect([after.gid, after.mode]).toEqual([before.gid, before.mode])
  })

  test('leaves a volume alone that is as it should be at the top, where that is asked for', async () => {
    await giveToGroup(volume, { group: 2000, readOnly: false, onlyOnMismatch: false, signal: never })
    await writeFile(join(volume, 'later'), '')
    await giveToGroup(volume, { group: 2000, readOnly: false, onlyOnMismatch: true, signal: never })
    expect((await stat(join(volume, 'later'))).mode & 0o777).toBe(0o644)
    await giveToGroup(volume, { group: 2001, readOnly: false, onlyOnMismatch: true, signal: never })
    expect((await stat(join(volume, 'later'))).gid).toBe(2001)
  })

  test('is given up where nobody needs it any more, takes too long, or goes too deep', async () => {
    const wanted = { group: 2000, readOnly: false, onlyOnMismatch: false, signal: never }
    const stop = new AbortController()
    const given = giveToGroup(volume, { ...wanted, signal: stop.signal })
    stop.abort(new Error('not needed'))
    await expect(given).rejects.toThrow('not needed')
    await expect(giveToGroup(volume, { ...wanted, longestMs: 1 })).rejects.toThrow('took longer than 0.001 s')
    expect((await stat(volume)).gid).not.toBe(2000)
    await mkdir(join(volume, Array<string>(502).fill('d').join('/')), { recursive: true })
    await expect(giveToGroup(volume, wanted)).rejects.toThrow('nested deeper than 500')
  })
})

describe('writeProjection', () => {
  const files = (content: Record<string, string | ProjectedFile>) =>
    new Map(
      Object.entries(content).map(([path, file]): [string, ProjectedFile] => [
        path,
        typeof file === 'string' ? { data: Buffer.from(file), mode: 0o644 } : file,
      ]),
    )
  const write = (content: Record<string, string | ProjectedFile>, group?: number) =>
    writeProjection(volume, { files: files(content), group })
  const visible = async () => (await readdir(volume)).filter((name) => !name.startsWith('..'))

  test('changes all files at once, and only where something changed', async () => {
    expect(await write({ a: 'one', 'dir/b': 'two' })).toBe(true)
    const first = await readlink(join(volume, '..data'))
    expect(await write({ a: 'one', 'dir/b': 'two' })).toBe(false)
    expect(await readlink(join(volume, '..data'))).toBe(first)
    expect(await write({ a: 'other', c: 'three' })).toBe(true)
    expect(await visible()).toEqual(['a', 'c'])
    expect([await readlink(join(volume, 'a')), await readFile(join(volume, 'a'), 'utf8')]).toEqual([
      '..data/a',
      'other',
    ])
    // The old version is gone.
    expect((await readdir(volume)).filter((name) => name.startsWith('..2'))).toEqual([
      await readlink(join(volume, '..data')),
    ])
  })

  test('goes on where an agent was killed', async () => {
    await write({ a: 'one' })
    await symlink('..nowhere', join(volume, '..data_tmp'))
    await mkdir(join(volume, '..2020-01-01_half'))
    await write({ a: 'two' })
    expect(await readFile(join(volume, 'a'), 'utf8')).toBe('two')
    expect((await readdir(volume)).length).toBe(3)
  })

  test('gives files the mode, the owner and the group that they should have', async () => {
    const token: ProjectedFile = { data: Buffer.from('t'), mode: 0o600, uid: 1000 }
    await write({ token, 'dir/key': { data: Buffer.from('k'), mode: 0o400 } }, 2000)
    const found = async (path: string) => {
      const { uid, gid, mode } = await stat(join(volume, path))
      return [uid, gid, (mode & 0o7777).toString(8)]
    }
    expect([await found('token'), await found('dir/key'), await found('dir')]).toEqual([
      [1000, 2000, '640'],
      [0, 2000, '440'],
      [0, 2000, '2755'],
    ])
  })

  test.each(['../up', '/absolute', 'a/../../b', '', 'a//b', './a', '..data', '..', 'a\0b', 'x'.repeat(300)])(
    'refuses the path %j',
    async (path) => {
      await expect(write({ [path]: 'x' })).rejects.toThrow('cannot be the path of a file in a volume')
      expect(await readdir(directory)).toEqual(['outside', 'volume'])
    },
  )

  test('a file named like what objects are made of is a file', async () => {
    await writeProjection(volume, {
      files: new Map([['__proto__', { data: Buffer.from('x'), mode: 0o644 }]]),
      group: undefined,
    })
    expect(await readFile(join(volume, '__proto__'), 'utf8')).toBe('x')
  })
})

describe('checkHostPath', () => {
  test.each<[type: string, name: string, expected: string | undefined]>([
    ['', 'outside', undefined],
    ['', 'outside/secret', undefined],
    ['', 'missing', 'does not exist'],
    ['Directory', 'outside', undefined],
    ['Directory', 'missing', 'is not a directory'],
    ['Directory', 'outside/secret', 'is not a directory'],
    ['File', 'outside/secret', undefined],
    ['File', 'outside', 'is not a file'],
    ['Socket', 'outside/secret', 'is not a socket file'],
    ['CharDevice', 'outside/secret', 'is not a character device'],
    ['BlockDevice', 'outside/secret', 'is not a block device'],
    ['DirectoryOrCreate', 'made/deep', undefined],
    ['FileOrCreate', 'outside/made', undefined],
    ['FileOrCreate', 'missing/made', 'does not exist'],
    ['', 'volume/../outside', 'must not contain'],
    ['Nonsense', 'outside', 'is not supported'],
  ])('%s %s', async (type, name, expected) => {
    const check = checkHostPath({ path: `${directory}/${name}`, type })
    if (expected === undefined) await check
    else await expect(check).rejects.toThrow(expected)
    if (type.endsWith('OrCreate') && expected === undefined) {
      expect((await stat(join(directory, name))).isDirectory()).toBe(type === 'DirectoryOrCreate')
    }
  })
})
