import { readFile } from 'node:fs/promises'
import { getCACertificates } from 'node:tls'
import { RuntimeError } from '../runtime-error.ts'

/** What an administrator says of registries. Hosts are as in image names: with a port where one is given. */
export interface RegistryConfig {
  /** By host, or `*` for every other: servers that are asked first, in this order, each a URL such as `https://mirror:5000`. */
  mirrors?: Record<string, string[]>
  /** By host, of registries and of mirrors. A host that is named here is trusted to be on this very machine. */
  hosts?: Record<string, RegistryHost>
}

export interface RegistryHost {
  /** PEM file with authorities that are trusted for this host besides the machine's own. */
  caFile?: string
  /** Speak plain HTTP. */
  plainHttp?: boolean
  /** Accept any certificate. */
  skipVerify?: boolean
}

/** A server that has, or should have, an image. */
export interface RegistryEndpoint {
  /** `https://host:port`, without a path. */
  origin: string
  host: string
  isMirror: boolean
  tls: { ca: string[]; skipVerify: boolean }
  /** Named in the configuration. */
  isConfigured: boolean
  /** Plain HTTP may be tried where TLS is not spoken: only this machine itself could listen in. */
  mayBePlain: boolean
}

const DOCKER_HUB = 'docker.io'
const DOCKER_HUB_SERVER = 'registry-1.docker.io'

/** Where to ask for an image of a registry, in order. */
export async function registryEndpoints(registry: string, config: RegistryConfig): Promise<RegistryEndpoint[]> {
  const mirrors = config.mirrors?.[registry] ?? config.mirrors?.['*'] ?? []
  const found: RegistryEndpoint[] = []
  for (const mirror of mirrors) found.push(await mirrorEndpoint(mirror, config))
  const settings = config.hosts?.[registry]
  const server = registry === DOCKER_HUB ? DOCKER_HUB_SERVER : registry
  found.push(
    await endpoint({
      host: server,
      settings,
      scheme: settings?.plainHttp ? 'http' : 'https',
      isMirror: false,
      registry,
    }),
  )
  return found
}

async function mirrorEndpoint(mirror: string, config: RegistryConfig): Promise<RegistryEndpoint> {
  const url = URL.parse(mirror)
  if (!url || !/^https?:$/.test(url.protocol) || url.pathname !== '/' || url.search !== '' || url.username !== '')
    throw new RuntimeError(
      'failed',
      `the mirror ${JSON.stringify(mirror)} is no URL of the form https://host:port: correct the configuration of registries`,
    )
  const scheme = url.protocol === 'http:' ? 'http' : 'https'
  return endpoint({ host: url.host, settings: config.hosts?.[url.host] ?? {}, scheme, isMirror: true })
}

async function endpoint({
  host,
  settings,
  scheme,
  isMirror,
  registry = host,
}: {
  host: string
  settings: RegistryHost | undefined
  scheme: 'http' | 'https'
  isMirror: boolean
  registry?: string
}): Promise<RegistryEndpoint> {
  const extra = settings?.caFile === undefined ? [] : [await readAuthorities(settings.caFile)]
  return {
    origin: `${scheme}://${host}`,
    host: registry,
    isMirror,
    tls: { ca: [...authorities(), ...extra], skipVerify: settings?.skipVerify ?? false },
    isConfigured: settings !== undefined,
    mayBePlain: scheme === 'https' && settings?.caFile === undefined && isLoopbackName(host),
  }
}

function isLoopbackName(host: string): boolean {
  const name = host.replace(/:\d+$/, '')
  return name === 'localhost' || name === '[::1]' || /^127(?:\.\d{1,3}){3}$/.test(name)
}

let known: string[] | undefined

/** Node's and the machine's: companies install their own into the latter. */
function authorities(): string[] {
  known ??= [...new Set([...getCACertificates('default'), ...getCACertificates('system')])]
  return known
}

async function readAuthorities(file: string): Promise<string> {
  try {
    return await readFile(file, 'utf8')
  } catch (cause) {
    const message = `the authorities of a registry cannot be read: ${(cause as Error).message}`
    throw new RuntimeError('failed', `${message}: correct the configuration of registries`, { cause })
  }
}
