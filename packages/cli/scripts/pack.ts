/**
 * Makes the npm package: the sources bundled to JavaScript, because Node does not strip types below node_modules.
 *
 *   node packages/cli/scripts/pack.ts      prints the path of the .tgz, in dist/
 */
import { execFileSync } from 'node:child_process'
import { chmodSync, cpSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { build, type Plugin } from 'esbuild'

const root = join(import.meta.dirname, '../../..')
const out = join(root, 'dist')
const stage = join(out, 'package')

/** Files that are found by their place beside the source; in the bundle everything lies in one directory. */
const BESIDE: ReadonlyArray<[written: RegExp, bundled: string]> = [
  [/new URL\('(?:\.\.?\/)+generated\//g, "new URL('./generated/"],
  [/new URL\(`(?:\.\.?\/)+generated\//g, 'new URL(`./generated/'],
  [/new URL\('\.\/monitor\/monitor-main\.ts'/g, "new URL('./monitor-main.mjs'"],
  [/new URL\('\.\/unpack-worker\.ts'/g, "new URL('./unpack-worker.mjs'"],
  [/new URL\('\.\/ownership-worker\.ts'/g, "new URL('./ownership-worker.mjs'"],
  [/new URL\('\.\/yaml-worker\.ts'/g, "new URL('./yaml-worker.mjs'"],
]

const besideTheBundle: Plugin = {
  name: 'files beside the bundle',
  setup(esbuild) {
    esbuild.onLoad({ filter: /packages\/[^/]+\/src\/.*\.ts$/ }, ({ path }) => {
      let text = readFileSync(path, 'utf8')
      if (!text.includes('import.meta.url')) return undefined
      for (const [written, bundled] of BESIDE) text = text.replaceAll(written, bundled)
      const left = /new URL\([^)]*\.ts'/.exec(text)
      if (left) throw new Error(`${path} finds ${left[0]} beside itself, which pack.ts does not know of`)
      return { contents: text, loader: 'ts' }
    })
  },
}

function generatedDirectories(directory: string): string[] {
  return readdirSync(directory, { withFileTypes: true }).flatMap((entry) => {
    if (!entry.isDirectory() || entry.name === 'node_modules') return []
    const path = join(directory, entry.name)
    return entry.name === 'generated' ? [path] : generatedDirectories(path)
  })
}

rmSync(out, { recursive: true, force: true })
mkdirSync(join(stage, 'dist'), { recursive: true })
await build({
  entryPoints: {
    caisson: join(root, 'packages/cli/src/start.mjs'),
    'monitor-main': join(root, 'packages/runtime/src/monitor/monitor-main.ts'),
    'unpack-worker': join(root, 'packages/runtime/src/images/unpack-worker.ts'),
    'ownership-worker': join(root, 'packages/kubelet/src/volumes/ownership-worker.ts'),
    'yaml-worker': join(root, 'packages/apiserver/src/http/yaml-worker.ts'),
  },
  outdir: join(stage, 'dist'),
  outExtension: { '.js': '.mjs' },
  bundle: true,
  // Commands are loaded when they are called: `caisson ls` reads nothing of the API server.
  splitting: true,
  platform: 'node',
  target: 'node24',
  format: 'esm',
  minifySyntax: true,
  legalComments: 'eof',
  // Dependencies that are CommonJS ask for Node's own modules with require.
  banner: {
    js: "import { createRequire as __createRequire } from 'node:module';const require = __createRequire(import.meta.url);",
  },
  plugins: [besideTheBundle],
  logLevel: 'warning',
})
for (const directory of generatedDirectories(join(root, 'packages')))
  cpSync(directory, join(stage, 'dist/generated'), { recursive: true })
cpSync(join(root, 'bin'), join(stage, 'bin'), { recursive: true })
chmodSync(join(stage, 'bin/caisson'), 0o755)
for (const file of ['README.md', 'LICENSE']) cpSync(join(root, file), join(stage, file))
const workspace = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as {
  optionalDependencies: Record<string, string>
  engines: Record<string, string>
}
const { version } = JSON.parse(readFileSync(join(root, 'packages/cli/package.json'), 'utf8')) as { version: string }
const manifest = {
  name: 'caisson',
  version,
  description:
    'Every AI agent in its own watertight chamber: gVisor sandboxes behind the Kubernetes API, on one machine',
  license: 'Apache-2.0',
  type: 'module',
  bin: { caisson: 'bin/caisson' },
  files: ['bin', 'dist'],
  os: ['linux'],
  engines: workspace.engines,
  optionalDependencies: workspace.optionalDependencies,
}
writeFileSync(join(stage, 'package.json'), `${JSON.stringify(manifest, null, 2)}\n`)
const packed = execFileSync('npm', ['pack', '--silent', '--pack-destination', out], {
  cwd: stage,
  encoding: 'utf8',
}).trim()
console.log(join(out, packed))
