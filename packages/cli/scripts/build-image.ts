/**
 * Makes the container image of `caisson controller`, without a container engine: the packed npm package, this machine's
 * pinned Node, and the shared libraries that Node needs, as an oci-archive. The same files give the same image.
 *
 *   node packages/cli/scripts/build-image.ts [NAME]      prints the path of the archive, in dist/
 */
import { execFileSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { readdirSync, readFileSync, realpathSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { gzipSync } from 'node:zlib'
import { packTar, type TarEntry } from 'modern-tar'
import { VERSION } from '../src/version.ts'
import { controllerImage, POD_SECURITY } from './deploy/workload.ts'

const root = join(import.meta.dirname, '../../..')
const APP = 'opt/caisson'
const NODE = 'usr/local/bin/node'
const USER = POD_SECURITY.runAsUser
const EPOCH = new Date(0)

function directory(name: string, mode = 0o755): TarEntry {
  return { header: { name: `${name}/`, size: 0, type: 'directory', mode, mtime: EPOCH } }
}

function file(name: string, content: string | Uint8Array, mode = 0o644): TarEntry {
  const body = typeof content === 'string' ? Buffer.from(content) : content
  return { header: { name, size: body.length, type: 'file', mode, mtime: EPOCH }, body }
}

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

interface Blob {
  mediaType: string
  digest: string
  size: number
}

async function build(name: string): Promise<Uint8Array> {
  const entries = new Map<string, TarEntry>()
  const blob = (mediaType: string, bytes: Uint8Array): Blob => {
    const { path, digest } = addressed(bytes)
    entries.set(path, file(path, bytes))
    return { mediaType, digest, size: bytes.length }
  }
  const json = (value: unknown): Buffer => Buffer.from(JSON.stringify(value))
  const diffIds: string[] = []
  const layers: Blob[] = []
  for (const layer of [baseLayer(realpathSync(process.execPath)), appLayer()]) {
    const tar = await packTar(layer)
    diffIds.push(addressed(tar).digest)
    layers.push(blob('application/vnd.oci.image.layer.v1.tar+gzip', gzipSync(tar)))
  }
  const config = blob(
    'application/vnd.oci.image.config.v1+json',
    json({
      architecture: { x64: 'amd64' }[process.arch as string] ?? process.arch,
      os: 'linux',
      created: EPOCH.toISOString(),
      config: {
        User: `${USER}:${POD_SECURITY.runAsGroup}`,
        Env: ['PATH=/usr/local/bin', 'NODE_OPTIONS=--disable-warning=ExperimentalWarning'],
        Entrypoint: [`/${NODE}`, `/${APP}/dist/caisson.mjs`, 'controller'],
        Labels: { 'org.opencontainers.image.version': VERSION, 'org.opencontainers.image.licenses': 'Apache-2.0' },
      },
      rootfs: { type: 'layers', diff_ids: diffIds },
    }),
  )
  const mediaType = 'application/vnd.oci.image.manifest.v1+json'
  const manifest = blob(mediaType, json({ schemaVersion: 2, mediaType, config, layers }))
  const annotations = { 'io.containerd.image.name': name, 'org.opencontainers.image.ref.name': VERSION }
  const index = { schemaVersion: 2, manifests: [{ ...manifest, annotations }] }
  return packTar([
    file('oci-layout', json({ imageLayoutVersion: '1.0.0' })),
    file('index.json', json(index)),
    ...entries.values(),
  ])
}

function addressed(bytes: Uint8Array): { digest: string; path: string } {
  const hex = createHash('sha256').update(bytes).digest('hex')
  return { digest: `sha256:${hex}`, path: `blobs/sha256/${hex}` }
}

execFileSync(process.execPath, [join(import.meta.dirname, 'pack.ts')], { stdio: ['ignore', 'ignore', 'inherit'] })
const archive = join(root, `dist/agent-sandbox-controller-${VERSION}.tar`)
writeFileSync(archive, await build(process.argv[2] ?? controllerImage(VERSION)))
console.log(archive)
