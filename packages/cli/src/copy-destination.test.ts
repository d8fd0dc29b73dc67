import { execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import {
  lchownSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  realpathSync,
  renameSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { makeReceiving, moveTree, openDestination } from './copy-destination.ts'
import { below } from './open-directory.ts'
import { disarm } from './received-tree.ts'
import { hostDirectories } from './shared-directories.ts'

let work: string
beforeEach(() => {
  work = realpathSync(mkdtempSync(join(tmpdir(), 'caisson-destination-')))
  for (const name of ['out', 'elsewhere']) mkdirSync(join(work, name))
})
afterEach(() => rmSync(work, { recursive: true, force: true }))

/** Writes a file to where a copy would be moved, as `received` where it keeps its name. */
async function put(to: string, shared: string[] = []): Promise<void> {
  await using destination = await openDestination(join(work, to), shared)
  writeFileSync(below(destination.directory, destination.name ?? 'received'), 'put')
}

/** Makes directories one in the other, deeper than a path is long. */
function nest(directory: string): void {
  const program = "import os\nfor i in range(3000):\n os.mkdir('deeper'); os.chdir('deeper')"
  execFileSync('python3', ['-c', program], { cwd: realpathSync(directory) })
}

const all = (): string[] => readdirSync(work, { recursive: true, encoding: 'utf8' }).sort()

describe('where a copy goes', () => {
  test.each([
    ['out', 'out/received'],
    ['out/name', 'out/name'],
    ['own', 'elsewhere/received'],
    ['own/name', 'elsewhere/name'],
    ['out/up/own/name', 'elsewhere/name'],
  ])('is a directory, or a name in one, also behind links of the user: %s', async (to, expected) => {
    symlinkSync(join(work, 'elsewhere'), join(work, 'own'))
    symlinkSync('..', join(work, 'out/up'))
    await put(to)
    expect(all()).toContain(expected)
  })

  test.each(['out/link', 'out/link/name', 'out/below/link'])('is behind no link of a sandbox: %s', async (to) => {
    mkdirSync(join(work, 'out/below'))
    for (const name of ['out/link', 'out/below/link']) symlinkSync(join(work, 'elsewhere'), join(work, name))
    const link = join(work, to.replace(/\/name$/, ''))
    await expect(put(to, [join(work, 'out')])).rejects.toMatchObject({
      code: 'usage',
      message: `${link} is a link that a sandbox may have put there, which has ${work}/out: look where it leads, and name that`,
    })
    expect(readdirSync(join(work, 'elsewhere'))).toEqual([])
  })

  test.runIf(process.geteuid?.() === 0)('is behind no link of another user', async () => {
    symlinkSync(join(work, 'elsewhere'), join(work, 'out/link'))
    lchownSync(join(work, 'out/link'), 12345, 12345)
    await expect(put('out/link')).rejects.toThrow('out/link is a link that another user has put there')
  })

  test('is in the place of a link that leads to no directory', async () => {
    symlinkSync('/no/such/file', join(work, 'out/link'))
    await using destination = await openDestination(join(work, 'out/link'), [join(work, 'out')])
    expect(destination.name).toBe('link')
  })

  test('is not where a link goes round in a ring, a file is, or nothing', async () => {
    symlinkSync('ring', join(work, 'ring'))
    writeFileSync(join(work, 'file'), '')
    await expect(put('ring/name')).rejects.toThrow('leads through too many links')
    await expect(put('file/name')).rejects.toThrow(`${work}/file is no directory`)
    await expect(put('no/name')).rejects.toThrow(`nothing can be written to ${work}/no (ENOENT)`)
  })
})

describe('what is received', () => {
  test('lies in the destination meanwhile, and goes', async () => {
    {
      await using destination = await openDestination(join(work, 'out'), [join(work, 'elsewhere')])
      await using receiving = await makeReceiving(destination, [join(work, 'elsewhere')])
      mkdirSync(below(receiving.handle, 'tree'))
      expect(all()).toContainEqual(expect.stringMatching(/^out\/\.caisson-cp-\w+\/tree$/))
    }
    expect(all()).toEqual(['elsewhere', 'out'])
  })

  test('goes however deep it is nested', async () => {
    {
      await using destination = await openDestination(join(work, 'out'), [])
      await using receiving = await makeReceiving(destination, [])
      nest(below(receiving.handle))
      await expect(disarm(below(receiving.handle, 'deeper'))).rejects.toMatchObject({
        code: 'failed',
        message: 'deeper is nested too deep to be looked at: copy a part of it, or to standard output',
      })
    }
    expect(all()).toEqual(['elsewhere', 'out'])
  })

  test('lies beside the topmost directory that a sandbox has', async () => {
    mkdirSync(join(work, 'out/a/b'), { recursive: true })
    const shared = [join(work, 'out/a/b'), join(work, 'out')]
    await using destination = await openDestination(join(work, 'out/a/b'), shared)
    await using _receiving = await makeReceiving(destination, shared)
    expect(all()).toContainEqual(expect.stringMatching(/^\.caisson-cp-\w+$/))
  })

  test('lies nowhere where a sandbox has everything', async () => {
    await using destination = await openDestination(join(work, 'out'), ['/'])
    await expect(makeReceiving(destination, ['/'])).rejects.toThrow('a sandbox has all directories of this machine')
  })
})

describe('moving', () => {
  beforeEach(() => {
    mkdirSync(join(work, 'received/tree/inner'), { recursive: true })
    for (const name of ['tree/new', 'tree/inner/leaf']) writeFileSync(join(work, 'received', name), 'new')
  })
  const move = () => moveTree(join(work, 'received/tree'), join(work, 'out/tree'), 'out/tree')

  test('leaves what is there beside what comes', async () => {
    mkdirSync(join(work, 'out/tree/inner'), { recursive: true })
    for (const name of ['out/tree/inner/old', 'out/tree/inner/leaf']) writeFileSync(join(work, name), 'old')
    await move()
    const tree = join(work, 'out/tree')
    expect(readdirSync(tree, { recursive: true, encoding: 'utf8' }).sort()).toEqual([
      'inner',
      'inner/leaf',
      'inner/old',
      'new',
    ])
    expect(readFileSync(join(tree, 'inner/leaf'), 'utf8')).toBe('new')
  })

  test('follows no link in the place of a directory', async () => {
    mkdirSync(join(work, 'out/tree'))
    symlinkSync(join(work, 'elsewhere'), join(work, 'out/tree/inner'))
    await expect(move()).rejects.toThrow('out/tree/inner is there already, and is no directory')
    expect(readdirSync(join(work, 'elsewhere'))).toEqual([])
  })

  test('takes the place of a link, not of what it leads to', async () => {
    mkdirSync(join(work, 'out/tree'))
    writeFileSync(join(work, 'elsewhere/precious'), 'precious')
    symlinkSync(join(work, 'elsewhere/precious'), join(work, 'out/tree/new'))
    await move()
    expect(readFileSync(join(work, 'elsewhere/precious'), 'utf8')).toBe('precious')
    expect(readFileSync(join(work, 'out/tree/new'), 'utf8')).toBe('new')
  })

  test('follows no link that comes and goes while it looks', async () => {
    mkdirSync(join(work, 'out/tree'))
    const swap = `const { mkdirSync, renameSync, rmSync, symlinkSync, unlinkSync } = require('node:fs')
      // For as long as there is between a look and what follows it.
      const hold = () => { for (const from = performance.now(); performance.now() < from + 0.1; ); }
      process.stdout.write('begun')
      for (;;) try {
        renameSync('inner', 'aside')
        symlinkSync('../../elsewhere', 'inner')
        hold()
        unlinkSync('inner')
        renameSync('aside', 'inner')
        hold()
      } catch {
        for (const path of ['inner', 'aside']) rmSync(path, { recursive: true, force: true })
        mkdirSync('inner')
      }`
    const attacker = spawn(process.execPath, ['-e', swap], { cwd: join(work, 'out/tree') })
    const ended = once(attacker, 'exit')
    try {
      await once(attacker.stdout, 'data')
      for (let round = 0; round < 2_000; round++) {
        mkdirSync(join(work, 'received/tree/inner'), { recursive: true })
        writeFileSync(join(work, 'received/tree/inner/leaf'), 'new')
        // Refused or not: what counts is where it goes.
        await move().catch(() => undefined)
      }
    } finally {
      attacker.kill('SIGKILL')
      await ended
    }
    expect(readdirSync(join(work, 'elsewhere'))).toEqual([])
  })

  test('goes to the directory that was opened, whatever has its name since', async () => {
    await using destination = await openDestination(join(work, 'out'), [join(work, 'out')])
    renameSync(join(work, 'out'), join(work, 'moved'))
    symlinkSync(join(work, 'elsewhere'), join(work, 'out'))
    await moveTree(join(work, 'received/tree'), below(destination.directory, 'tree'), 'out/tree')
    expect([readdirSync(join(work, 'elsewhere')), readdirSync(join(work, 'moved'))]).toEqual([[], ['tree']])
  })
})

test('the directories that sandboxes have are those of their Pods that are there, by their real paths', async () => {
  symlinkSync('out', join(work, 'link'))
  const pod = (...paths: string[]) => ({
    spec: { containers: [], volumes: paths.map((path, index) => ({ name: `v${index}`, hostPath: { path } })) },
  })
  const given = [pod(join(work, 'link')), pod(join(work, 'no'), join(work, 'elsewhere')), { spec: { containers: [] } }]
  expect(await hostDirectories(given)).toEqual([join(work, 'out'), join(work, 'elsewhere')])
})
