import { chmod, cp, mkdir, mkdtemp, readdir, rename, rm, writeFile } from 'node:fs/promises'
import { basename, join } from 'node:path'
import { RuntimeError } from '../runtime-error.ts'
import { hostAptSource, renderSource, runscSuite } from './apt-source.ts'
import { runCommand } from './run-command.ts'
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
      // "install" and not "download": apt then adds the libraries that this machine lacks.
      const args = ['install', '--download-only', '--assume-yes', '--no-install-recommends', '--reinstall', ...linked]
      await apt(args, `${linked.join(', ')} could not be fetched`)
    }
    await unpack(directory, names, options)
  }
}

type Apt = (args: string[], failure: string) => Promise<void>

async function privateApt(directory: string, source: string, signal: AbortSignal | undefined): Promise<Apt> {
  for (const path of ['lists/partial', 'cache/archives/partial', 'sources']) {
    await mkdir(join(directory, path), { recursive: true, mode: 0o700 })
  }
  await writeFile(join(directory, 'sources/caisson.sources'), source)
  // Nothing is locked: of the system's own files only dpkg's status is used, and read, which dpkg replaces as a whole.
  const configuration = `
#clear APT::Update::Pre-Invoke;
#clear APT::Update::Post-Invoke;
#clear APT::Update::Post-Invoke-Success;
#clear DPkg::Pre-Invoke;
#clear DPkg::Post-Invoke;
#clear DPkg::Pre-Install-Pkgs;
Dir::State "${directory}";
Dir::State::lists "${join(directory, 'lists')}";
Dir::State::status "/var/lib/dpkg/status";
Dir::Cache "${join(directory, 'cache')}";
Dir::Etc::sourcelist "/dev/null";
Dir::Etc::sourceparts "${join(directory, 'sources')}";
Dir::Etc::preferences "/dev/null";
Dir::Etc::preferencesparts "/dev/null";
APT::Sandbox::User "root";
Debug::NoLocking "true";
APT::Get::AllowUnauthenticated "false";
Acquire::AllowInsecureRepositories "false";
Acquire::Languages "none";
Acquire::Retries "2";
Acquire::IndexTargets::deb::DEP-11::DefaultEnabled "false";
Acquire::IndexTargets::deb::CNF::DefaultEnabled "false";
`
  const file = join(directory, 'apt.conf')
  await writeFile(file, configuration)
  return async (args, failure) => {
    const result = await runCommand('apt-get', ['-qq', '-c', file, ...args], {
      cwd: directory,
      env: { ...process.env, LC_ALL: 'C', DEBIAN_FRONTEND: 'noninteractive' },
      ...(signal ? { signal } : {}),
    })
    const said = result.stderr.split('\n').filter((line) => /^[EW]:/.test(line))
    // "update" is content with what it had when nothing can be reached; here it had nothing.
    if (result.exitCode === 0 && !(args[0] === 'update' && said.some((line) => line.includes('Failed to fetch'))))
      return
    const reason = said.slice(0, 3).join('; ') || `apt-get ended with exit code ${result.exitCode}`
    throw new RuntimeError(
      'runtime-missing',
      `${failure}: ${reason}. Check the network and apt's sources, or put the program into PATH`,
    )
  }
}

async function unpack(directory: string, names: PackagedTool[], options: FetchOptions): Promise<void> {
  const root = join(directory, 'root')
  await mkdir(root)
  for (const from of [directory, join(directory, 'cache/archives')]) {
    for (const name of await readdir(from)) {
      if (!name.endsWith('.deb')) continue
      options.onProgress?.(`Unpacking ${name.split('_')[0]}`)
      const { exitCode, stderr } = await runCommand('dpkg-deb', ['--extract', join(from, name), root])
      if (exitCode !== 0) throw new RuntimeError('failed', `dpkg-deb could not unpack ${name}: ${stderr.trim()}`)
    }
  }
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
