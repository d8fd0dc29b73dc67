/**
 * The images that Kubernetes' conformance tests run, under the names that they use, made here: agnhost and its companions
 * from Kubernetes' Go module, the rest from busybox. A server of HTTP is busybox's `httpd`, whatever the tests call it.
 *
 *   node test/conformance/images.ts      makes them, prints the archive
 */
import { execFileSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { existsSync, readFileSync, realpathSync, renameSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { defaultToolsDirectory, installTools, type PackagedTool, type Tool } from '@caisson/runtime'
import {
  type ArchivedImage,
  directory,
  file,
  link,
  ociArchive,
  type TarEntry,
} from '../../packages/cli/scripts/oci-archive.ts'
import {
  buildBeside,
  buildConformance,
  buildControlPlane,
  conformanceDirectory,
  kubernetesDirectory,
} from '../cluster/build-control-plane.ts'

const E2E = 'registry.k8s.io/e2e-test-images'
const PATH = 'PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin'
const IT_WORKS = '<html><body><h1>It works!</h1></body></html>\n'

/** A user of the image that is in a group besides his own, which one test looks for. */
const USERS =
  'root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/:/sbin/nologin\nuser-defined-in-image:x:1000:1000::/home:/bin/sh\n'
const GROUPS =
  'root:x:0:\nnobody:x:65534:\nuser-defined-in-image:x:1000:\ngroup-defined-in-image:x:50000:user-defined-in-image\n'

/**
 * busybox and the shell. busybox's own shell drops variables whose names it cannot say, such as `data-1`, which several
 * tests look for; that of its published image does not, and bash does not either.
 */
function busyboxLayer(busybox: string): TarEntry[] {
  const applets = execFileSync(busybox, ['--list'], { encoding: 'utf8' }).trim().split('\n')
  return [
    ...['bin', 'etc', 'root', 'home', 'var', 'usr', 'usr/bin', 'usr/local', 'usr/local/bin', 'dev', 'proc', 'sys'].map(
      (name) => directory(name),
    ),
    directory('tmp', 0o1777),
    file('bin/busybox', readFileSync(busybox), 0o755),
    ...applets.filter((name) => name !== 'busybox' && name !== 'sh').map((name) => link(`bin/${name}`, 'busybox')),
    ...linkedPrograms([{ name: 'bash', path: '/bin/bash', env: {} }]),
    link('bin/sh', '/usr/bin/bash'),
    file('etc/passwd', USERS),
    file('etc/group', GROUPS),
    file('etc/nsswitch.conf', 'hosts: files dns\n'),
  ]
}

/** Programs, with the libraries that they are linked against. */
function linkedPrograms(programs: ReadonlyArray<Pick<Tool, 'path' | 'env'> & { name: string }>): TarEntry[] {
  const files = new Map<string, string>()
  for (const { name, path, env } of programs) {
    files.set(`usr/bin/${name}`, path)
    const linked = execFileSync('ldd', [path], { encoding: 'utf8', env: { ...process.env, ...env } })
    for (const [, library] of linked.matchAll(/(\/\S+) \(0x/g)) {
      // Those that came with a tool are where the machine's own are.
      if (library) files.set(library.replace(defaultToolsDirectory(), '').slice(1), library)
    }
  }
  return [...files]
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([name, path]) => file(name, readFileSync(realpathSync(path)), 0o755))
}

async function describeImages(built: string): Promise<ArchivedImage[]> {
  const kubernetes = join(kubernetesDirectory(), 'test/images')
  const tools = await installTools(defaultToolsDirectory(), { tools: ['busybox', 'curl', 'dig', 'nc.openbsd'] })
  const tool = (name: PackagedTool): Tool => {
    const found = tools.get(name)
    if (found === undefined) throw new Error(`${name} was neither found nor fetched`)
    return found
  }
  const busybox = busyboxLayer(tool('busybox').path)
  const programs = linkedPrograms([
    tool('curl'),
    tool('dig'),
    { name: 'getent', path: '/usr/bin/getent', env: {} },
    // Found before busybox's, which knows neither `-v` nor `-t`.
    { ...tool('nc.openbsd'), name: 'nc' },
  ])
  const agnhostLayer = [
    file('agnhost', readFileSync(join(built, 'agnhost')), 0o755),
    link('agnhost-2', 'agnhost'),
    directory('uploads'),
    ...['crt', 'key'].map((kind) => {
      const name = `localhost.${kind}`
      return file(name, readFileSync(join(kubernetes, 'agnhost/porter', name)))
    }),
  ]
  const agnhost = [busybox, programs, agnhostLayer]
  const page = (name: string): TarEntry[] =>
    ['data.json', `${name}.jpg`].map((each) => file(each, readFileSync(join(kubernetes, name, 'html', each))))
  const server = (name: string, root: string): ArchivedImage => ({
    name,
    layers: [busybox, [directory(root), file(`${root}/index.html`, IT_WORKS)]],
    config: { Env: [PATH], Cmd: ['httpd', '-f', '-p', '80', '-h', `/${root}`] },
  })
  const ofAgnhost = { Env: [PATH], Entrypoint: ['/agnhost'], Cmd: ['pause'] }
  return [
    { name: `${E2E}/agnhost:2.56`, layers: agnhost, config: ofAgnhost },
    {
      name: 'registry.k8s.io/pause:3.10.1',
      layers: [agnhostLayer],
      config: { Env: [PATH], Entrypoint: ['/agnhost', 'pause'] },
    },
    { name: `${E2E}/busybox:1.37.0-1`, layers: [busybox], config: { Env: [PATH], Cmd: ['sh'] } },
    server(`${E2E}/httpd:2.4.38-4`, 'usr/local/apache2/htdocs'),
    server(`${E2E}/httpd:2.4.39-4`, 'usr/local/apache2/htdocs'),
    server(`${E2E}/nginx:1.14-4`, 'usr/share/nginx/html'),
    server(`${E2E}/nginx:1.15-4`, 'usr/share/nginx/html'),
    { name: `${E2E}/jessie-dnsutils:1.7`, layers: [busybox, programs], config: { Env: [PATH], Cmd: ['sh'] } },
    {
      name: `${E2E}/nautilus:1.7`,
      layers: [...agnhost, page('nautilus')],
      config: { ...ofAgnhost, Cmd: ['test-webserver'] },
    },
    {
      name: `${E2E}/kitten:1.7`,
      layers: [...agnhost, page('kitten')],
      config: { ...ofAgnhost, Cmd: ['test-webserver'] },
    },
    { name: `${E2E}/nonroot:1.4`, layers: [busybox], config: { Env: [PATH], User: '1234', Cmd: ['sh'] } },
    {
      name: `${E2E}/nonewprivs:1.3`,
      layers: [busybox, [file('usr/local/bin/nnp', readFileSync(join(built, 'nnp')), 0o6755)]],
      config: { Env: [PATH], Cmd: ['nnp'] },
    },
  ]
}

/** Of the one test that joins an API server in: that server, and its storage. */
async function describeJoinedServer(): Promise<ArchivedImage[]> {
  const image = (name: string, program: string, path: string): ArchivedImage => ({
    name,
    layers: [
      [
        ...['usr', 'usr/bin', 'usr/local', 'usr/local/bin', 'etc', 'dev', 'proc', 'sys'].map((each) => directory(each)),
        directory('tmp', 0o1777),
        ...linkedPrograms([{ name: program, path, env: {} }]),
        link(`usr/local/bin/${program}`, `/usr/bin/${program}`),
      ],
    ],
    config: { Env: [PATH], Entrypoint: [`/usr/local/bin/${program}`] },
  })
  return [
    image(`${E2E}/sample-apiserver:1.29.2`, 'sample-apiserver', await buildBeside('sample-apiserver')),
    image('registry.k8s.io/etcd:3.6.4-0', 'etcd', join(await buildControlPlane('all'), 'etcd')),
  ]
}

/** Makes the archive of the images of all tests but one, and gives its path. */
export async function buildImages(): Promise<string> {
  const built = await buildConformance()
  return archiveOf('images', () => describeImages(built))
}

/** Makes the archive of what that one runs, which takes a build of Go programs, and gives its path. */
export function buildJoinedServer(): Promise<string> {
  return archiveOf('joined-server', describeJoinedServer)
}

/** Once for each state of this file. */
async function archiveOf(name: string, describe: () => Promise<ArchivedImage[]>): Promise<string> {
  const sources = ['images.ts', '../../packages/cli/scripts/oci-archive.ts']
  const key = createHash('sha256')
  for (const source of sources) key.update(readFileSync(join(import.meta.dirname, source)))
  const archive = join(conformanceDirectory(), `${name}-${key.digest('hex').slice(0, 12)}.tar`)
  if (!existsSync(archive)) {
    writeFileSync(`${archive}.${process.pid}`, await ociArchive(await describe()))
    renameSync(`${archive}.${process.pid}`, archive)
  }
  return archive
}

if (import.meta.main) console.log(await buildImages())
