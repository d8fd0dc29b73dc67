/** kill -9 of whoever pulls, imports or removes, at any moment: nothing half made is ever used, and nothing is left over. */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { expect, test } from 'vitest'
import { dockerArchive, file } from '../testing/image-archive.ts'
import { type BuiltImage, buildImage } from '../testing/remote-image-fixture.ts'
import { serves, startScriptedRegistry } from '../testing/scripted-registry.ts'
import { openImageStore } from './open-image-store.ts'

const ROUNDS = 12
/** One round of pull, import and removal takes about so long. */
const ROUND_MS = 600

function layer(name: string): ReturnType<typeof file>[] {
  return Array.from({ length: 40 }, (_, index) => file(`${name}/${index}`, `${name}${index}`.repeat(200)))
}

test('of whoever pulls, imports and removes', async () => {
  const directory = mkdtempSync(join(tmpdir(), 'caisson-killed-'))
  const image: BuiltImage = await buildImage([layer('a'), layer('b'), layer('c')])
  await using registry = await startScriptedRegistry(serves(image))
  const archive = join(directory, 'archive.tar')
  writeFileSync(archive, await dockerArchive({ tags: ['imported'], layers: [layer('d')] }))
  const name = `${registry.host}/app:latest`
  const state = join(directory, 'state')
  const images = join(state, 'images')
  const found = new Set<string>()
  try {
    for (let round = 0; round < ROUNDS; round++) {
      const program = join(import.meta.dirname, '../testing/pull-forever.ts')
      const child = spawn(process.execPath, [program, state, name, archive], { stdio: ['ignore', 'pipe', 'inherit'] })
      await once(child.stdout, 'data')
      // The moment at which it is killed is what is tried out, not something that is waited for.
      await delay((ROUND_MS * round) / ROUNDS + Math.random() * 50)
      child.kill('SIGKILL')
      await once(child, 'exit')
      found.add(readdirSync(images).some((each) => each.startsWith('.import-')) ? 'cut off' : 'between')

      const store = await openImageStore(state)
      const listed = (await store.list()).filter((each) => !each.name.startsWith('caisson.dev/'))
      for (const { id, name: each } of listed) {
        const root = join(images, `${id.slice('sha256:'.length)}.2`, 'rootfs')
        const tops = each === name ? ['a', 'b', 'c'] : ['d']
        expect(readdirSync(root).sort()).toEqual(tops)
        for (const top of tops)
          for (let index = 0; index < 40; index++)
            expect(readFileSync(join(root, top, String(index)), 'utf8')).toBe(`${top}${index}`.repeat(200))
      }
      const ids = listed.map(({ id }) => `${id.slice('sha256:'.length)}.2`)
      const left = readdirSync(images).filter((each) => /^[0-9a-f]{64}/.test(each) || each.startsWith('.'))
      expect(left.sort()).toEqual([...new Set(ids)].sort())
      // Configuration, layers and manifest of the one, configuration and layer of the other.
      const blobs = listed.reduce((sum, each) => sum + (each.name === name ? 5 : 2), 0)
      expect(readdirSync(join(images, 'blobs'))).toHaveLength(blobs)
      expect(existsSync(join(images, 'names.json.new'))).toBe(false)
      await store.pull(name, { trusted: true })
    }
    // Otherwise nothing was tried out.
    expect(found.has('cut off')).toBe(true)
  } finally {
    rmSync(directory, { recursive: true, force: true })
  }
}, 120_000)
