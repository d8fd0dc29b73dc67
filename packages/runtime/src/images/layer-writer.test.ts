/** Whatever layers say, the tree is what a plain model of whiteouts makes of them, and nothing outside of it is touched. */
import { execFileSync } from 'node:child_process'
import { lstatSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import fc from 'fast-check'
import { packTar, type TarEntry } from 'modern-tar'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { file } from '../testing/image-archive.ts'
import { createRootfsWriter, type UnpackBudget } from './layer-writer.ts'

let directory: string
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'caisson-layers-'))
})
afterEach(() => rmSync(directory, { recursive: true, force: true }))

const BUDGET = { bytes: 1e9, members: 1e5, archiveBytes: 1e9 }

async function apply(root: string, layers: TarEntry[][], { chunkSize = 65_536, budget = {} } = {}): Promise<void> {
  const writer = createRootfsWriter(root, { ...BUDGET, ...budget })
  for (const entries of layers) {
    const layer = writer.beginLayer()
    const bytes = Buffer.from(await packTar(entries))
    for (let at = 0; at < bytes.length; at += chunkSize) layer.push(bytes.subarray(at, at + chunkSize))
    layer.finish()
  }
}

function tree(root: string, prefix = ''): Record<string, string> {
  const found: Record<string, string> = {}
  for (const name of readdirSync(join(root, prefix)).sort()) {
    const path = prefix === '' ? name : `${prefix}/${name}`
    if (lstatSync(join(root, path)).isDirectory()) Object.assign(found, { [path]: 'directory' }, tree(root, path))
    else found[path] = readFileSync(join(root, path), 'utf8')
  }
  return found
}

function attributesBelow(root: string) {
  return readdirSync(root, { recursive: true, encoding: 'utf8' }).map((each) => {
    const { mode, uid, gid, nlink, mtimeMs } = lstatSync(join(root, each))
    return { each, mode, uid, gid, nlink, mtimeMs }
  })
}

test('an owner whom this user namespace does not know becomes root, and what would run as that owner does not run as root', () => {
  const program = `
    import { createRootfsWriter } from ${JSON.stringify(join(import.meta.dirname, 'layer-writer.ts'))}
    import { packTar } from 'modern-tar'
    const entry = (name, mode, uid) => ({ header: { name, size: 0, type: 'file', mode, uid, gid: uid, mtime: new Date(0) }, body: '' })
    const layer = createRootfsWriter(process.argv[1], ${JSON.stringify(BUDGET)}).beginLayer()
    layer.push(Buffer.from(await packTar([entry('theirs', 0o4755, 1000), entry('ours', 0o4755, 0)])))
    layer.finish()`
  execFileSync(
    'unshare',
    ['--user', '--map-root-user', process.execPath, '--input-type=module', '-e', program, directory],
    {
      cwd: import.meta.dirname,
    },
  )
  const attributes = attributesBelow(directory).map(({ each, mode, uid }) => ({ each, mode: mode & 0o7777, uid }))
  const uid = process.getuid?.()
  expect(attributes.sort((a, b) => a.each.localeCompare(b.each))).toEqual([
    { each: 'ours', mode: 0o4755, uid },
    { each: 'theirs', mode: 0o755, uid },
  ])
})

type Step =
  | { kind: 'file'; path: string }
  | { kind: 'directory'; path: string }
  | { kind: 'whiteout'; path: string }
  | { kind: 'opaque'; path: string }

const name = fc.constantFrom('a', 'b', 'c')
const path = fc.array(name, { minLength: 1, maxLength: 3 }).map((parts) => parts.join('/'))
const step: fc.Arbitrary<Step> = fc.record({
  kind: fc.constantFrom('file', 'directory', 'whiteout', 'opaque'),
  path,
}) as fc.Arbitrary<Step>

function entryOf(step: Step, content: string): TarEntry {
  const { kind, path: at } = step
  if (kind === 'file') return file(at, content)
  if (kind === 'directory') return { header: { name: `${at}/`, size: 0, type: 'directory', mode: 0o755 } }
  if (kind === 'opaque') return file(`${at}/.wh..wh..opq`, '')
  return file(at.replace(/[^/]+$/, '.wh.$&'), '')
}

/** A path with all above it as directories; what is there and is no directory gives way. */
function makeDirectories(model: Map<string, string>, at: string): void {
  const parts = at.split('/')
  for (let depth = 1; depth <= parts.length; depth++) {
    const above = parts.slice(0, depth).join('/')
    if (model.get(above) !== 'directory') model.set(above, 'directory')
  }
}

function removeBelow(model: Map<string, string>, at: string, spared: (path: string) => boolean): void {
  for (const each of model.keys()) if (each.startsWith(`${at}/`) && !spared(each)) model.delete(each)
}

/** What the specification says, on a map of paths. */
function modelOf(layers: Step[][]): Record<string, string> {
  const model = new Map<string, string>()
  layers.forEach((steps, layer) => {
    const own = new Set<string>()
    const isOwn = (each: string): boolean => own.has(each)
    steps.forEach((each, index) => {
      const above = each.path.split('/').slice(0, -1).join('/')
      const parent = each.kind === 'opaque' ? each.path : above
      if (parent !== '') makeDirectories(model, parent)
      if (each.kind === 'opaque') removeBelow(model, each.path, isOwn)
      else if (each.kind === 'whiteout') {
        removeBelow(model, each.path, isOwn)
        if (!isOwn(each.path)) model.delete(each.path)
      } else {
        if (each.kind === 'file' || model.get(each.path) !== 'directory') {
          removeBelow(model, each.path, () => false)
        }
        model.set(each.path, each.kind === 'file' ? `${layer}.${index}` : 'directory')
        const parts = each.path.split('/')
        for (let depth = 1; depth <= parts.length; depth++) own.add(parts.slice(0, depth).join('/'))
      }
    })
  })
  return Object.fromEntries([...model].sort(([a], [b]) => (a < b ? -1 : 1)))
}

describe('createRootfsWriter', () => {
  test('does what the specification of layers says, however the bytes come', async () => {
    const layers = fc.array(fc.array(step, { maxLength: 8 }), { minLength: 1, maxLength: 4 })
    await fc.assert(
      fc.asyncProperty(layers, fc.integer({ min: 1, max: 5000 }), async (given, chunkSize) => {
        const root = mkdtempSync(join(directory, 'root-'))
        await apply(
          root,
          given.map((steps, layer) => steps.map((each, index) => entryOf(each, `${layer}.${index}`))),
          { chunkSize },
        )
        expect(tree(root)).toEqual(modelOf(given))
        rmSync(root, { recursive: true })
      }),
      { numRuns: 150 },
    )
  })

  test('touches nothing outside, whatever links a layer makes', async () => {
    const outside = join(directory, 'outside')
    const target = fc.constantFrom(
      '..',
      '../..',
      '../../outside',
      outside,
      '/',
      '.',
      'a',
      '/a/b',
      '../outside/victim',
      `${outside}/victim`,
    )
    const entry = fc.oneof(
      fc
        .record({ name: path, linkname: target })
        .map(({ name: at, linkname }): TarEntry => ({ header: { name: at, size: 0, type: 'symlink', linkname } })),
      fc
        .record({ name: path, linkname: fc.oneof(path, target) })
        .map(({ name: at, linkname }): TarEntry => ({ header: { name: at, size: 0, type: 'link', linkname } })),
      step.map((each) => entryOf(each, 'x')),
    )
    await fc.assert(
      fc.asyncProperty(fc.array(fc.array(entry, { maxLength: 8 }), { minLength: 1, maxLength: 3 }), async (layers) => {
        rmSync(outside, { recursive: true, force: true })
        mkdirSync(outside)
        writeFileSync(join(outside, 'victim'), 'unharmed')
        for (const each of ['a', 'a/b', 'b', 'c']) mkdirSync(join(outside, each), { mode: 0o700 })
        const before = tree(directory, 'outside')
        const attributes = attributesBelow(outside)
        const root = mkdtempSync(join(directory, 'root-'))
        await apply(root, layers).catch((error: { code?: string }) =>
          expect(error).toMatchObject({ code: 'bad-archive' }),
        )
        expect([tree(directory, 'outside'), attributesBelow(outside)]).toEqual([before, attributes])
        expect(readdirSync(directory).filter((each) => !each.startsWith('root-'))).toEqual(['outside'])
        rmSync(root, { recursive: true })
      }),
      { numRuns: 200 },
    )
  })

  test('gives no attributes to what a link has taken the place of', async () => {
    const [root, outside] = [join(directory, 'root'), join(directory, 'outside')]
    mkdirSync(root)
    mkdirSync(join(outside, 'inner'), { recursive: true, mode: 0o700 })
    const before = attributesBelow(outside)
    await apply(root, [
      [
        { header: { name: 'd/inner/', size: 0, type: 'directory', mode: 0o777, uid: 1234 } },
        { header: { name: 'd', size: 0, type: 'symlink', linkname: outside } },
      ],
    ])
    expect(attributesBelow(outside)).toEqual(before)
  })

  function directoryNamed(name: string, linkname = ''): TarEntry {
    return { header: { name, size: 0, type: 'directory', mode: 0o755, linkname } }
  }

  test.each<[string, TarEntry[]]>([
    ['a name that no file can have', [file('x'.repeat(300), 'x')]],
    ['a long name that says little', [directoryNamed(`${'./'.repeat(2048)}d/`)]],
    ['a long name of what a directory leads to', [directoryNamed('d/', 'x'.repeat(4097))]],
    ['an owner that no file can have', [{ header: { name: 'a', size: 0, type: 'file', uid: 2 ** 33 } }]],
    ['a whiteout of nothing', [file('.wh.', '')]],
    ['a whiteout of everything', [file('a/.wh..', '')]],
    ['a whiteout that leads out', [file('.wh...', '')]],
  ])('%s', async (_name, entries) => {
    await expect(apply(directory, [entries])).rejects.toMatchObject({ code: 'bad-archive' })
  })

  const block = 4096
  const deep = `${'d/'.repeat(9)}file`
  const link = { header: { name: 'link', size: 0, type: 'symlink', linkname: 't'.repeat(99) } } as const
  const directories = ['a/', 'a/b/', 'a/b/c/'].map((name) => directoryNamed(name))
  test.each<[string, TarEntry[][], Partial<UnpackBudget>]>([
    ['directories that are only implied, by number', [[file(deep, '')]], { members: 10 }],
    ['directories that are only implied, by their blocks', [[file(deep, '')]], { bytes: 9 * block }],
    [
      'directories that a whiteout implies',
      [[file(`${'d/'.repeat(9)}.wh.file`, '')]],
      { members: 10, bytes: 9 * block },
    ],
    ['symbolic links', [[link]], { members: 1, bytes: block }],
    ['directories, once each', [directories, directories], { members: 6, bytes: 3 * block }],
  ])('%s count against what an image may have', async (_name, layers, budget) => {
    await apply(mkdtempSync(join(directory, 'root-')), layers, { budget })
    for (const [key, enough] of Object.entries(budget)) {
      const refused = apply(mkdtempSync(join(directory, 'root-')), layers, { budget: { ...budget, [key]: enough - 1 } })
      await expect(refused, key).rejects.toMatchObject({ code: 'bad-archive' })
    }
  })

  test('setuid stays, because programs in images need it, and nobody of this machine gets at it', async () => {
    await apply(directory, [[file('su', 'x', 0o4755)]])
    expect(lstatSync(join(directory, 'su')).mode & 0o7777).toBe(0o4755)
  })
})
