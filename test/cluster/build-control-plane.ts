/**
 * Builds a real Kubernetes control plane, and kubectl, from their Go modules, once; later calls find them.
 *
 *   node test/cluster/build-control-plane.ts [kubectl|all]      prints the directory that holds the binaries
 *   node test/cluster/build-control-plane.ts kubectl v1.35.0    the same for kubectl of another version
 *   node test/cluster/build-control-plane.ts helm|kwok|copier|…   prints the path of that program
 *   node test/cluster/build-control-plane.ts conformance        prints the directory that holds e2e.test and its companions
 *
 * The cache is outside the repository, `$CAISSON_CACHE_DIR` (default `~/.cache/caisson`), keyed by version.
 */
import { execFileSync, spawn, spawnSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import {
  copyFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs'
import { homedir, tmpdir } from 'node:os'
import { join } from 'node:path'

/** The version that everything is compared with and generated from. */
export const KUBERNETES = 'v1.34.4'
const ETCD = 'v3.6.5'

/** Exit code for "cannot be built here", so that callers can tell a missing Go from a failed build. */
export const NO_GO = 77

const BINARIES = {
  kubectl: 'k8s.io/kubernetes/cmd/kubectl',
  'kube-apiserver': 'k8s.io/kubernetes/cmd/kube-apiserver',
  'kube-controller-manager': 'k8s.io/kubernetes/cmd/kube-controller-manager',
  'kube-scheduler': 'k8s.io/kubernetes/cmd/kube-scheduler',
  'e2e.test': 'k8s.io/kubernetes/test/e2e',
  agnhost: 'k8s.io/kubernetes/test/images/agnhost',
  nnp: 'k8s.io/kubernetes/test/images/nonewprivs',
} as const

type Binary = keyof typeof BINARIES

const CONTROL_PLANE: readonly Binary[] = ['kubectl', 'kube-apiserver', 'kube-controller-manager', 'kube-scheduler']
/** Kubernetes' own conformance tests, and what runs in the images that they use. */
const CONFORMANCE: readonly Binary[] = ['e2e.test', 'agnhost', 'nnp']

function cacheDirectory(): string {
  return process.env['CAISSON_CACHE_DIR'] ?? join(homedir(), '.cache', 'caisson')
}

/** Of the real control plane that tests start: `make test-cluster VERSION=v1.32.13` asks for another one than `KUBERNETES`. */
export function controlPlaneVersion(): string {
  return releaseOf(process.env['CAISSON_TEST_KUBERNETES'] || KUBERNETES)
}

function releaseOf(version: string): string {
  if (!/^v1\.\d+\.\d+$/.test(version))
    throw new Error(`expected a version of Kubernetes such as v1.32.13, found "${version}"`)
  return version
}

/** Where the binaries are, built or not. */
export function controlPlaneDirectory(): string {
  return join(cacheDirectory(), `control-plane-${controlPlaneVersion()}-etcd-${ETCD}`)
}

/** Whether `go` can be run. */
export function hasGo(): boolean {
  try {
    execFileSync('go', ['version'], { stdio: 'ignore' })
    return true
  } catch {
    return false
  }
}

function run(command: string, args: string[], cwd: string, env?: Record<string, string>): Promise<void> {
  return new Promise((resolve, reject) => {
    const child = spawn(command, args, { cwd, env: { ...process.env, ...env }, stdio: ['ignore', 2, 2] })
    child.on('error', reject)
    child.on('exit', (code) =>
      code === 0 ? resolve() : reject(new Error(`${command} ${args.join(' ')} in ${cwd} exited with ${code}`)),
    )
  })
}

async function buildKubernetes(directory: string, names: readonly Binary[], kubernetes: string): Promise<void> {
  const missing = names.filter((name) => !existsSync(join(directory, name)))
  if (missing.length === 0) return
  const work = mkdtempSync(join(tmpdir(), 'caisson-go-'))
  try {
    const goMod = readFileSync(downloadModule('k8s.io/kubernetes', kubernetes).GoMod, 'utf8')
    // Kubernetes' own go.mod points its staging modules at directories that a module download does not hold; the same
    // code is published as k8s.io/* v0.N.M.
    const published = kubernetes.replace('v1.', 'v0.')
    const staging = [...goMod.matchAll(/^\s*(k8s\.io\/\S+) => \.\/staging/gm)].map(([, name = '']) => name)
    const go = /^go (\S+)/m.exec(goMod)?.[1] ?? '1.24.0'
    writeFileSync(
      join(work, 'go.mod'),
      [
        `module build`,
        `go ${go}`,
        `require k8s.io/kubernetes ${kubernetes}`,
        ...publishedStaging(staging, published).map(([name, version]) => `replace ${name} => ${name} ${version}`),
        '',
      ].join('\n'),
    )
    const minor = kubernetes.split('.')[1]
    for (const name of missing) {
      console.error(`building ${name} ${kubernetes}`)
      const version = `-X k8s.io/component-base/version.gitVersion=${kubernetes} -X k8s.io/component-base/version.gitMajor=1 -X k8s.io/component-base/version.gitMinor=${minor}`
      const built = ['-mod=mod', '-trimpath', '-ldflags', `-s -w ${version}`, '-o', join(work, name), BINARIES[name]]
      if (name === 'e2e.test') await run('go', ['test', '-c', ...built], work)
      // What runs in images that have no libraries is linked against none.
      else await run('go', ['build', ...built], work, CONFORMANCE.includes(name) ? { CGO_ENABLED: '0' } : {})
      renameSync(join(work, name), join(directory, name))
    }
  } finally {
    rmSync(work, { recursive: true, force: true })
  }
}

/** The module proxy may lack one of them in a patch release: the patch before it is the nearest that there is. */
function publishedStaging(names: readonly string[], version: string): [name: string, version: string][] {
  const wanted = names.map((name) => `${name}@${version}`)
  const { stdout } = spawnSync('go', ['mod', 'download', '-json', ...wanted], { cwd: tmpdir(), encoding: 'utf8' })
  const answers = stdout.split(/(?<=^})\n/m).filter(Boolean)
  const refused = new Set(
    answers
      .map((answer) => JSON.parse(answer) as { Path: string; Error?: string })
      .flatMap(({ Path, Error: error }) => (error === undefined ? [] : [Path])),
  )
  return names.map((name) => [name, refused.has(name) ? patchBefore(name, version) : version])
}

/** The version itself where there is none: samples are not published at all, and nothing that is built needs them. */
function patchBefore(name: string, version: string): string {
  const args = ['list', '-m', '-e', '-versions', '-f', '{{join .Versions " "}}', name]
  const listed = execFileSync('go', args, { cwd: tmpdir(), encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] })
  const [, minor = '', patch = ''] = /^(v0\.\d+\.)(\d+)$/.exec(version) ?? []
  const older = listed
    .trim()
    .split(' ')
    .filter((each) => each.startsWith(minor))
    .map((each) => Number(each.slice(minor.length)))
    .filter((each) => each < Number(patch))
  if (older.length === 0) return version
  console.error(`${name} ${version} is not published: ${minor}${Math.max(...older)} takes its place`)
  return `${minor}${Math.max(...older)}`
}

/** A program of a Go module of its own, which needs no replacements. */
interface GoProgram {
  name: string
  module: string
  version: string
  /** Of the module's `go` line, or newer. */
  go: string
  /** What is built: a package of the module, or a file of ours beside this one that uses it. */
  package: string
  /** Built with the modules that its own go.mod puts in the place of others. */
  replacing?: true
}

const GO_PROGRAMS = {
  etcd: {
    name: 'etcd',
    module: 'go.etcd.io/etcd/server/v3',
    version: ETCD,
    go: '1.24.0',
    package: 'go.etcd.io/etcd/server/v3',
  },
  helm: {
    name: 'helm',
    module: 'helm.sh/helm/v3',
    version: 'v3.22.0',
    go: '1.26.0',
    package: 'helm.sh/helm/v3/cmd/helm',
  },
  /** Nodes whose Pods become Ready without a container. */
  kwok: {
    name: 'kwok',
    module: 'sigs.k8s.io/kwok',
    version: 'v0.7.0',
    go: '1.24.0',
    package: 'sigs.k8s.io/kwok/cmd/kwok',
  },
  /** The controller that ours is measured against, in the only version that the module proxy has. */
  'agent-sandbox': {
    name: 'agent-sandbox-controller',
    module: 'sigs.k8s.io/agent-sandbox',
    version: 'v1.0.3',
    go: '1.26.0',
    package: 'sigs.k8s.io/agent-sandbox/cmd/agent-sandbox-controller',
  },
  /** What `kubectl top` asks, and what asks the nodes. */
  'metrics-server': {
    name: 'metrics-server',
    module: 'sigs.k8s.io/metrics-server',
    version: 'v0.8.0',
    go: '1.24.0',
    package: 'sigs.k8s.io/metrics-server/cmd/metrics-server',
  },
  /** An API server that others join in. */
  'sample-apiserver': {
    name: 'sample-apiserver',
    module: 'k8s.io/sample-apiserver',
    version: KUBERNETES.replace('v1.', 'v0.'),
    go: '1.24.0',
    package: 'k8s.io/sample-apiserver',
  },
  /** A controller of ours as others write them. */
  copier: {
    name: 'copier',
    module: 'sigs.k8s.io/controller-runtime',
    version: 'v0.25.0',
    go: '1.26.0',
    package: './copier.go',
  },
  /** What Argo CD compares, applies and prunes with. */
  argo: {
    name: 'argo',
    module: 'github.com/argoproj/argo-cd/gitops-engine',
    version: 'v0.0.0-20260914071520-c9c369efcc5b',
    go: '1.26.1',
    package: './argo.go',
    replacing: true,
  },
  /** What Flux does the same with, as it is released. */
  'kustomize-controller': {
    name: 'kustomize-controller',
    module: 'github.com/fluxcd/kustomize-controller',
    version: 'v1.9.6',
    go: '1.26.0',
    package: 'github.com/fluxcd/kustomize-controller',
    replacing: true,
  },
} as const satisfies Record<string, GoProgram>

async function buildGoProgram(directory: string, program: GoProgram): Promise<void> {
  if (existsSync(join(directory, program.name))) return
  mkdirSync(directory, { recursive: true })
  const work = mkdtempSync(join(directory, 'go-'))
  try {
    console.error(`building ${program.name} ${program.version}`)
    const lines = ['module build', `go ${program.go}`, `require ${program.module} ${program.version}`]
    if (program.replacing) lines.push(...replacementsOf(program))
    writeFileSync(join(work, 'go.mod'), `${lines.join('\n')}\n`)
    if (program.package.startsWith('./'))
      copyFileSync(join(import.meta.dirname, program.package), join(work, program.package))
    const built = join(work, program.name)
    await run('go', ['build', '-mod=mod', '-trimpath', '-ldflags', '-s -w', '-o', built, program.package], work)
    renameSync(built, join(directory, program.name))
  } finally {
    rmSync(work, { recursive: true, force: true })
  }
}

/** Those by published versions: a directory is in the repository alone, and is published too. */
function replacementsOf({ module, version }: GoProgram): string[] {
  const text = readFileSync(downloadModule(module, version).GoMod, 'utf8')
  return [...text.matchAll(/^(?:replace)?\s+(\S+ => \S+ v\S+)/gm)].map(([, line]) => `replace ${line}`)
}

/** Where a module is, which is downloaded if it is missing. */
function downloadModule(module: string, version: string): { Dir: string; GoMod: string } {
  const found = execFileSync('go', ['mod', 'download', '-json', `${module}@${version}`], {
    cwd: tmpdir(),
    encoding: 'utf8',
  })
  return JSON.parse(found) as { Dir: string; GoMod: string }
}

type Beside = Exclude<keyof typeof GO_PROGRAMS, 'etcd'>

/** Builds one of the programs that are no part of the control plane, if it is missing, and gives its path. */
export async function buildBeside(name: Beside): Promise<string> {
  const program: GoProgram = GO_PROGRAMS[name]
  const directory = join(cacheDirectory(), `${program.name}-${program.version}${sourceKey(program)}`)
  await buildGoProgram(directory, program)
  return join(directory, program.name)
}

/** A program of ours is built again when it has changed. */
function sourceKey({ package: source }: GoProgram): string {
  if (!source.startsWith('./')) return ''
  const hash = createHash('sha256').update(readFileSync(join(import.meta.dirname, source)))
  return `-${hash.digest('hex').slice(0, 12)}`
}

/** Where the Go module of one of them is, with the manifests that it brings along. */
export function moduleDirectory(name: 'kwok' | 'agent-sandbox'): string {
  const { module, version } = GO_PROGRAMS[name]
  return downloadModule(module, version).Dir
}

/** The CustomResourceDefinitions of Flux's kustomize-controller, and of where it gets manifests from. */
export function fluxCrds(): string[] {
  const { module, version } = GO_PROGRAMS['kustomize-controller']
  const ofSources = downloadModule('github.com/fluxcd/source-controller', 'v1.9.0').Dir
  const sources = ['buckets', 'gitrepositories', 'ocirepositories'].map(
    (plural) => `source.toolkit.fluxcd.io_${plural}`,
  )
  return [
    join(downloadModule(module, version).Dir, 'config/crd/bases/kustomize.toolkit.fluxcd.io_kustomizations.yaml'),
    ...sources.map((name) => join(ofSources, `config/crd/bases/${name}.yaml`)),
  ]
}

/** Where the module of Kubernetes itself is, with the files that its test images are made of. */
export function kubernetesDirectory(): string {
  return downloadModule('k8s.io/kubernetes', KUBERNETES).Dir
}

/** Builds what is missing. Throws where Go is missing or a build fails. */
export async function buildControlPlane(what: 'kubectl' | 'all'): Promise<string> {
  const directory = controlPlaneDirectory()
  mkdirSync(directory, { recursive: true })
  await buildKubernetes(directory, what === 'kubectl' ? ['kubectl'] : CONTROL_PLANE, controlPlaneVersion())
  if (what === 'all') await buildGoProgram(directory, GO_PROGRAMS.etcd)
  return directory
}

/** Where `e2e.test` and its companions are, built or not. */
export function conformanceDirectory(): string {
  return join(cacheDirectory(), `conformance-${KUBERNETES}`)
}

/** Builds `e2e.test`, `agnhost` and `nnp` where they are missing, and gives the directory that holds them. */
export async function buildConformance(): Promise<string> {
  const directory = conformanceDirectory()
  mkdirSync(directory, { recursive: true })
  await buildKubernetes(directory, CONFORMANCE, KUBERNETES)
  return directory
}

/** Builds kubectl of a version such as `v1.30.14`, if it is missing, and gives the directory that holds it. */
export async function buildKubectl(version: string): Promise<string> {
  const directory = join(cacheDirectory(), `kubectl-${releaseOf(version)}`)
  mkdirSync(directory, { recursive: true })
  await buildKubernetes(directory, ['kubectl'], version)
  return directory
}

if (import.meta.main) {
  if (!hasGo()) {
    console.error(
      'Go is not installed, so the real control plane cannot be built: the tests that compare with it are not run.',
    )
    process.exit(NO_GO)
  }
  const [what, version] = process.argv.slice(2)
  if (what === 'kubectl' && version !== undefined) console.log(await buildKubectl(version))
  else if (what && what !== 'etcd' && Object.hasOwn(GO_PROGRAMS, what)) console.log(await buildBeside(what as Beside))
  else if (what === 'conformance') console.log(await buildConformance())
  else console.log(await buildControlPlane(what === 'kubectl' ? 'kubectl' : 'all'))
}
