/**
 * `image pull`: an image of some 100 MB in four layers, made of this machine's own /usr, from a real registry on loopback
 * until it can be run, against `tar -xzf` of the same layers, one after the other.
 *
 *   node test/bench/image-pull.ts [--rounds 5] [--megabytes 100]
 */
import { execFileSync, spawnSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { openImageStore } from '../../packages/runtime/src/images/open-image-store.ts'
import { startRegistry } from '../../packages/runtime/src/testing/registry-server.ts'
import { describeImage, pushBuilt } from '../../packages/runtime/src/testing/remote-image-fixture.ts'
import { median, rounded } from './statistics.ts'

const { values: options } = parseArgs({
  options: { rounds: { type: 'string', default: '5' }, megabytes: { type: 'string', default: '100' } },
})
const LAYERS = 4
const work = mkdtempSync(join(tmpdir(), 'caisson-pull-bench-'))
await using registry = await startRegistry()

/** Files below /usr, each layer with so many bytes of them; what is larger than a layer is left out. */
function chooseFiles(bytes: number): string[][] {
  const chosen: string[][] = [[]]
  let left = bytes
  const found = execFileSync('find', ['/usr', '-xdev', '-type', 'f', '-printf', '%s %P\\0'], {
    encoding: 'utf8',
    maxBuffer: 2 ** 28,
  })
  for (const line of found.split('\0')) {
    const space = line.indexOf(' ')
    const size = Number(line.slice(0, space))
    if (space < 0 || size > bytes / 4) continue
    left -= size
    chosen.at(-1)?.push(line.slice(space + 1))
    if (left > 0) continue
    if (chosen.length === LAYERS) break
    chosen.push([])
    left = bytes
  }
  return chosen
}

interface Layer {
  file: string
  packed: Buffer
  diffId: string
  bytes: number
}

function makeLayer(files: string[], index: number): Layer {
  const list = join(work, `${index}.list`)
  const file = join(work, `${index}.tar.gz`)
  writeFileSync(list, files.join('\0'))
  const plain = execFileSync('tar', ['-C', '/usr', '--no-recursion', '--null', '-T', list, '-cf', '-'], {
    maxBuffer: 2 ** 30,
  })
  const { stdout: packed } = spawnSync('gzip', ['-6'], { input: plain, maxBuffer: 2 ** 30 })
  writeFileSync(file, packed)
  return { file, packed, diffId: `sha256:${createHash('sha256').update(plain).digest('hex')}`, bytes: plain.length }
}

async function pull(): Promise<number> {
  const directory = mkdtempSync(join(work, 'store-'))
  const store = await openImageStore(directory)
  const began = performance.now()
  await store.pull(`${registry.host}/bench:latest`, { trusted: true })
  const ms = performance.now() - began
  rmSync(directory, { recursive: true })
  return ms
}

function untar(layers: Layer[]): number {
  const directory = join(work, 'untarred')
  mkdirSync(directory)
  const began = performance.now()
  for (const { file } of layers) execFileSync('tar', ['-xzf', file, '-C', directory])
  const ms = performance.now() - began
  rmSync(directory, { recursive: true })
  return ms
}

try {
  const layers = chooseFiles((Number(options.megabytes) * 1e6) / LAYERS).map(makeLayer)
  const image = describeImage(layers.map(({ packed, diffId }) => ({ bytes: packed, diffId })))
  await pushBuilt(image, { host: registry.host, repository: 'bench', tag: 'latest' })
  const samples = { pull: [] as number[], tar: [] as number[], ratio: [] as number[] }
  for (let round = 0; round < Number(options.rounds); round++) {
    const [pulled, untarred] = [await pull(), untar(layers)]
    samples.pull.push(pulled)
    samples.tar.push(untarred)
    samples.ratio.push(pulled / untarred)
  }
  console.log(
    JSON.stringify({
      bench: 'image-pull',
      pull_ms: rounded(median(samples.pull)),
      tar_ms: rounded(median(samples.tar)),
      ratio: rounded(median(samples.ratio)),
      megabytes: rounded(layers.reduce((sum, { bytes }) => sum + bytes, 0) / 1e6),
      compressed_megabytes: rounded(layers.reduce((sum, { packed }) => sum + packed.length, 0) / 1e6),
      layers: layers.length,
      n: samples.ratio.length,
    }),
  )
} finally {
  rmSync(work, { recursive: true, force: true })
}
