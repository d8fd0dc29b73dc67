import { chmod, cp, mkdir, mkdtemp, readdir, rename, rm } from 'node:fs/promises'
import { basename, join } from 'node:path'
import { RuntimeError } from '../runtime-error.ts'
import { hostAptSource, renderSource, runscSuite } from './apt-source.ts'
import { extractPackages, privateApt, WITH_LIBRARIES } from './private-apt.ts'
import { findTool, type PackagedTool, runscBuildDate, type Tool } from './tools.ts'

export interface InstallToolsOptions {
  /** What has to be there; `runsc` and `busybox` unless told. */
  tools?: PackagedTool[]
  onProgress?: (message: string) => void
  signal?: AbortSignal
}

interface PackageOfTool {
  package: string
  /** Below / in older releases, below /usr in newer ones. */
  file: string
  /** Linked against nothing: it may come from a newer release than the machine's. */
  standalone: boolean
}

const PACKAGES: Record<PackagedTool, PackageOfTool> = {
  runsc: { package: 'runsc', file: 'bin/runsc', standalone: true },
  busybox: { package: 'busybox-static', file: 'bin/busybox', standalone: true },
  runc: { package: 'runc', file: 'sbin/runc', standalone: false },
  crun: { package: 'crun', file: 'bin/crun', standalone: false },
  nft: { package: 'nftables', file: 'sbin/nft', standalone: false },
  'containerd-shim-runc-v2': { package: 'containerd', file: 'bin/containerd-shim-runc-v2', standalone: false },
  // What tests pull images from, and what they ask with in containers.
  'docker-registry': { package: 'docker-registry', file: 'bin/docker-registry', standalone: false },
  curl: { package: 'curl', file: 'bin/curl', standalone: false },
  dig: { package: 'bind9-dnsutils', file: 'bin/dig', standalone: false },
  'nc.openbsd': { package: 'netcat-openbsd', file: 'bin/nc.openbsd', standalone: false },
}

// Older ones have no systrap: an order of magnitude slower, and no longer looked after.
const OLDEST_RUNSC = 20230501

/**
 * Makes sure that tools are there, fetching what is missing from the packages of the machine's own distribution into
 * `toolsDirectory`. Nothing of the system is changed: apt works on private directories, checks its signatures with the
 * machine's own keyrings, and no package script is run. Quick when nothing is missing; safe to be called by several
 * processes at once.
 */
export async function installTools(
  toolsDirectory: string,
  options: InstallToolsOptions = {},
): Promise<Map<PackagedTool, Tool>> {
  const wanted = options.tools ?? ['runsc', 'busybox']
  const found = await findUsable(wanted, toolsDirectory)
  const missing = wanted.filter((name) => !found.has(name))
  if (missing.length === 0) return found
  await mkdir(toolsDirectory, { recursive: true, mode: 0o700 })
  const work = await mkdtemp(join(toolsDirectory, '.install-'))
  try {
    await fetchTools(missing, { ...options, toolsDirectory, work })
  } finally {
    await rm(work, { recursive: true, force: true })
  }
  const now = await findUsable(wanted, toolsDirectory)
  const broken = missing.filter((name) => !now.has(name))
  if (broken.length > 0) {
    throw new RuntimeError('runtime-missing', `${broken.join(', ')} was fetched but does not run on this machine`)
  }
  return now
}

async function findUsable(names: PackagedTool[], toolsDirectory: string): Promise<Map<PackagedTool, Tool>> {
  const tools = await Promise.all(names.map((name) => findTool(name, toolsDirectory)))
  return new Map(
    tools.flatMap((tool, index) => (tool && isRecent(tool) ? [[names[index] as PackagedTool, tool] as const] : [])),
  )
}

function isRecent(tool: Tool): boolean {
  return tool.name !== 'runsc' || (runscBuildDate(tool.version) ?? OLDEST_RUNSC) >= OLDEST_RUNSC
}

interface FetchOptions extends InstallToolsOptions {
  toolsDirectory: string
  work: string
}

async function fetchTools(missing: PackagedTool[], options: FetchOptions): Promise<void> {
  const { work, onProgress } = options
  const host = await hostAptSource(options.signal)
  // A list of packages costs ten megabytes, so each suite is only asked when something has to come from it.
  const runscFrom = runscSuite(host.suite)
  const bySuite = new Map<string, PackagedTool[]>()
  for (const name of missing) {
    const suite = PACKAGES[name].standalone ? runscFrom : host.suite
    bySuite.set(suite, [...(bySuite.get(suite) ?? []), name])
  }
  for (const [suite, names] of bySuite) {
    const directory = join(work, suite)
    const apt = await privateApt(directory, renderSource(host, suite), options.signal)
    onProgress?.(`Reading the package lists of ${suite}`)
    await apt(['update'], 'the package lists could not be fetched')
    onProgress?.(`Fetching ${names.map((name) => PACKAGES[name].package).join(', ')} from ${suite}`)
    const standalone = names.filter((name) => PACKAGES[name].standalone).map((name) => PACKAGES[name].package)
    const linked = names.filter((name) => !PACKAGES[name].standalone).map((name) => PACKAGES[name].package)
    if (standalone.length > 0) await apt(['download', ...standalone], `${standalone.join(', ')} could not be fetched`)
    if (linked.length > 0) {
      await apt([...WITH_LIBRARIES, ...linked], `${linked.join(', ')} could not be fetched`)
    }
    await unpack(directory, names, options)
  }
}

async function unpack(directory: string, names: PackagedTool[], options: FetchOptions): Promise<void> {
  const root = await extractPackages(directory, options.onProgress)
  await mkdir(join(options.toolsDirectory, 'bin'), { recursive: true, mode: 0o755 })
  // Libraries before programs, so that a program that is there runs.
  await placeLibraries(root, options.toolsDirectory)
  for (const name of names) {
    const merged = join(root, 'usr', PACKAGES[name].file)
    const file = await chmod(merged, 0o755).then(
      () => merged,
      () => join(root, PACKAGES[name].file),
    )
    await rename(file, join(options.toolsDirectory, 'bin', name))
  }
}

async function placeLibraries(root: string, toolsDirectory: string): Promise<void> {
  for (const lib of ['lib', 'usr/lib']) {
    const triples = await readdir(join(root, lib), { withFileTypes: true }).catch(() => [])
    for (const triple of triples) {
      if (!triple.isDirectory() || !triple.name.endsWith('-linux-gnu')) continue
      const target = join(toolsDirectory, 'lib', triple.name)
      await mkdir(target, { recursive: true, mode: 0o755 })
      const files = await readdir(join(root, lib, triple.name))
      for (const file of files.filter((each) => /\.so(\.|$)/.test(each))) {
        const temporary = join(target, `.${basename(file)}.${process.pid}`)
        await cp(join(root, lib, triple.name, file), temporary, { verbatimSymlinks: true })
        await rename(temporary, join(target, file))
      }
    }
  }
}
