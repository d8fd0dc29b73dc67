import { readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { RuntimeError } from '../runtime-error.ts'
import { runCommand } from './run-command.ts'

/** One line of `apt-get indextargets`: an archive, a suite and a component that the machine is set up for. */
export interface AptTarget {
  uri: string
  suite: string
  component: string
}

export interface AptSource extends AptTarget {
  /** Keyring file that the machine's own sources name for this archive, or the distribution's. */
  signedBy: string | undefined
}

/** Debian releases whose runsc is older than systrap; on them it comes from the release after. */
const TOO_OLD_FOR_RUNSC = new Set(['buster', 'bullseye', 'bookworm'])
const RUNSC_SUITE = 'trixie'

/**
 * Where this machine gets its packages from, in its own words: nothing is known here of any archive.
 * `CAISSON_APT_URI` names another archive.
 */
export async function hostAptSource(signal?: AbortSignal): Promise<AptSource> {
  const format = '$(REPO_URI)|$(RELEASE)|$(COMPONENT)'
  const { stdout } = await runCommand(
    'apt-get',
    ['indextargets', '--no-release-info', '--format', format, 'Created-By: Packages'],
    signal ? { signal } : {},
  ).catch((cause: unknown) => {
    throw new RuntimeError(
      'runtime-missing',
      'apt-get was not found: install runsc by hand (see gvisor.dev) so that it is in PATH',
      { cause },
    )
  })
  const codename = releaseField(await readFile('/etc/os-release', 'utf8').catch(() => ''), 'VERSION_CODENAME')
  const target = chooseTarget(parseTargets(stdout), codename)
  if (!target) {
    throw new RuntimeError(
      'runtime-missing',
      `apt has no source for the main component of ${codename ?? 'this release'}: add one, or install runsc by hand so that it is in PATH`,
    )
  }
  const uri = process.env.CAISSON_APT_URI ?? target.uri
  return { ...target, uri, signedBy: signedBy(await sourceFiles(), target.uri) }
}

/** The suite whose runsc is recent enough, given the machine's own. */
export function runscSuite(hostSuite: string): string {
  return TOO_OLD_FOR_RUNSC.has(hostSuite) ? RUNSC_SUITE : hostSuite
}

/** The same archive as a deb822 source of other suites. */
export function renderSource(source: AptSource, suite: string): string {
  const components = source.component === 'universe' ? 'main universe' : source.component
  const lines = ['Types: deb', `URIs: ${source.uri}`, `Suites: ${suite}`, `Components: ${components}`]
  if (source.signedBy) lines.push(`Signed-By: ${source.signedBy}`)
  return `${lines.join('\n')}\n`
}

export function parseTargets(output: string): AptTarget[] {
  return output.split('\n').flatMap((line) => {
    const [uri, suite, component] = line.split('|')
    return uri && suite && component ? [{ uri: uri.replace(/\/$/, ''), suite, component }] : []
  })
}

/** The archive of the release itself: not its updates, not a third party's. Ubuntu keeps runsc in universe. */
export function chooseTarget(targets: AptTarget[], codename: string | undefined): AptTarget | undefined {
  const ofRelease = targets.filter((target) => codename === undefined || target.suite === codename)
  return (
    ofRelease.find((target) => target.component === 'universe') ??
    ofRelease.find((target) => target.component === 'main') ??
    // Testing and unstable are often named by their class, not by their codename.
    targets.find((target) => target.component === 'main' && /^(stable|testing|unstable|sid)$/.test(target.suite))
  )
}

/** The keyring that a machine's sources name for an archive: deb822's `Signed-By` or one-line `[signed-by=…]`. */
export function signedBy(sources: string[], uri: string): string | undefined {
  for (const text of sources) {
    for (const stanza of text.split(/\n\s*\n/)) {
      if (!stanza.includes(uri)) continue
      const keyring =
        /^Signed-By:[ \t]*(\/\S+)/im.exec(stanza)?.[1] ?? /\[[^\]]*signed-by=(\/[^\s\],]+)/i.exec(stanza)?.[1]
      if (keyring) return keyring
    }
  }
  return undefined
}

function releaseField(text: string, name: string): string | undefined {
  const line = text.split('\n').find((each) => each.startsWith(`${name}=`))
  return line?.slice(name.length + 1).replaceAll('"', '')
}

async function sourceFiles(): Promise<string[]> {
  const parts = await readdir('/etc/apt/sources.list.d').catch(() => [])
  const names = parts
    .filter((name) => /\.(list|sources)$/.test(name))
    .map((name) => join('/etc/apt/sources.list.d', name))
  return Promise.all(['/etc/apt/sources.list', ...names].map((path) => readFile(path, 'utf8').catch(() => '')))
}
