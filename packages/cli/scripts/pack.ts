/**
 * Makes the npm package.
 *
 *   node packages/cli/scripts/pack.ts      prints the path of the .tgz, in dist/
 */
import { execFileSync } from 'node:child_process'
import { chmodSync, cpSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { bundle, generatedDirectories } from './bundle.ts'

const root = join(import.meta.dirname, '../../..')
const out = join(root, 'dist')
const stage = join(out, 'package')

rmSync(out, { recursive: true, force: true })
mkdirSync(join(stage, 'dist'), { recursive: true })
await bundle(join(stage, 'dist'))
for (const directory of generatedDirectories()) cpSync(directory, join(stage, 'dist/generated'), { recursive: true })
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
