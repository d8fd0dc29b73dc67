/** apt on directories of its own: of the system nothing is changed, and no package's script is run. */
import { mkdir, mkdtemp, readdir, rename, rm, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { RuntimeError } from '../runtime-error.ts'
import { hostAptSource, renderSource } from './apt-source.ts'
import { runCommand } from './run-command.ts'

/** "install" and not "download": apt then adds the libraries that this machine lacks. */
export const WITH_LIBRARIES = ['install', '--download-only', '--assume-yes', '--no-install-recommends', '--reinstall']

export type Apt = (args: string[], failure: string) => Promise<void>

/** Where `source` is what it knows of, and everything that it writes is below `directory`. */
export async function privateApt(directory: string, source: string, signal: AbortSignal | undefined): Promise<Apt> {
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

/** Lays all packages that were fetched into `directory` out, and gives the root that they are in. */
export async function extractPackages(directory: string, onProgress?: (message: string) => void): Promise<string> {
  const root = join(directory, 'root')
  await mkdir(root)
  for (const from of [directory, join(directory, 'cache/archives')]) {
    for (const name of await readdir(from)) {
      if (!name.endsWith('.deb')) continue
      onProgress?.(`Unpacking ${name.split('_')[0]}`)
      const { exitCode, stderr } = await runCommand('dpkg-deb', ['--extract', join(from, name), root])
      if (exitCode !== 0) throw new RuntimeError('failed', `dpkg-deb could not unpack ${name}: ${stderr.trim()}`)
    }
  }
  return root
}

/**
 * Fetches packages of the machine's own distribution, with the libraries that it lacks, and lays them out below
 * `directory`, which is there afterwards as a whole or not at all. Safe to be called by several processes at once.
 */
export async function fetchPackages(directory: string, packages: readonly string[]): Promise<void> {
  await mkdir(dirname(directory), { recursive: true, mode: 0o700 })
  const work = await mkdtemp(join(dirname(directory), '.fetch-'))
  try {
    const host = await hostAptSource()
    const apt = await privateApt(work, renderSource(host, host.suite), undefined)
    await apt(['update'], 'the package lists could not be fetched')
    await apt([...WITH_LIBRARIES, ...packages], `${packages.join(', ')} could not be fetched`)
    await rename(await extractPackages(work), directory).catch(async (error: NodeJS.ErrnoException) => {
      if (error.code !== 'ENOTEMPTY' && error.code !== 'EEXIST') throw error
    })
  } finally {
    await rm(work, { recursive: true, force: true })
  }
}
