/**
 * Makes the container image of `caisson controller`, without a container engine: the packed npm package, this machine's
 * pinned Node, and the shared libraries that Node needs, as an oci-archive. The same files give the same image.
 *
 *   node packages/cli/scripts/build-image.ts [NAME]      prints the path of the archive, in dist/
 */
import { execFileSync } from 'node:child_process'
import { readdirSync, readFileSync, realpathSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { TarEntry } from 'modern-tar'
import { VERSION } from '../src/version.ts'
import { controllerImage, POD_SECURITY } from './deploy/workload.ts'
import { directory, file, ociArchive } from './oci-archive.ts'

const root = join(import.meta.dirname, '../../..')
const APP = 'opt/caisson'
const NODE = 'usr/local/bin/node'
/** As `bin/caisson` gives it to all but the cluster: a sixth of the controllers' CPU went into collecting without it. */
const ROOM = '--min-semi-space-size=16'
const USER = POD_SECURITY.runAsUser

/** Node changes less often than the package: it is a layer of its own. */
function baseLayer(node: string): TarEntry[] {
  const libraries = [...execFileSync('ldd', [node], { encoding: 'utf8' }).matchAll(/(\/\S+) \(0x/g)].flatMap(
    ([, path]) => (path === undefined ? [] : [path]),
  )
  const user = (name: string, id: number) => `${name}:x:${id}:${id}:${name}:/:/sbin/nologin\n`
  return [
    directory('tmp', 0o1777),
    file('etc/passwd', user('root', 0) + user('nonroot', USER)),
    file('etc/group', `root:x:0:\nnonroot:x:${USER}:\n`),
    file('etc/nsswitch.conf', 'hosts: files dns\n'),
    file(NODE, readFileSync(node), 0o755),
    ...libraries.sort().map((path) => file(path.slice(1), readFileSync(realpathSync(path)), 0o755)),
  ]
}

function appLayer(): TarEntry[] {
  const staged = join(root, 'dist/package')
  return readdirSync(staged, { withFileTypes: true, recursive: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name))
    .sort()
    .map((path) => file(`${APP}${path.slice(staged.length)}`, readFileSync(path)))
}

function build(name: string): Promise<Uint8Array> {
  return ociArchive([
    {
      name,
      layers: [baseLayer(realpathSync(process.execPath)), appLayer()],
      config: {
        User: `${USER}:${POD_SECURITY.runAsGroup}`,
        Env: ['PATH=/usr/local/bin', 'NODE_OPTIONS=--disable-warning=ExperimentalWarning'],
        Entrypoint: [`/${NODE}`, ROOM, `/${APP}/dist/caisson.mjs`, 'controller'],
        Labels: { 'org.opencontainers.image.version': VERSION, 'org.opencontainers.image.licenses': 'Apache-2.0' },
      },
    },
  ])
}

execFileSync(process.execPath, [join(import.meta.dirname, 'pack.ts')], { stdio: ['ignore', 'ignore', 'inherit'] })
const archive = join(root, `dist/agent-sandbox-controller-${VERSION}.tar`)
writeFileSync(archive, await build(process.argv[2] ?? controllerImage(VERSION)))
console.log(archive)
