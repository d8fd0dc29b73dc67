/** Credentials by server, as Docker's configuration has them and Kubernetes' pull secrets hold them. */
import type { MarkedCredential } from '../runtime.ts'

export interface DockerAuth {
  username?: unknown
  password?: unknown
  /** Base64 of `username:password`. */
  auth?: unknown
  identitytoken?: unknown
}

/** One `auths` object, with the marks that its credentials carry. */
export interface KeyringEntry {
  auths: Record<string, DockerAuth>
  marks?: (credential: MarkedCredential) => string[]
}

export interface Keyring {
  /** The most specific first. `server` is a host as in image names. */
  lookup(server: string, repository: string): MarkedCredential[]
}

const DOCKER_HUB = 'docker.io'
const DOCKER_HUB_KEY = 'index.docker.io'

/**
 * Keys are hosts, with a port where one is meant, or hosts with the beginning of a repository; each part of a host's name
 * may have `*` and `?`. Docker Hub is also found under `index.docker.io`, as `docker login` writes it.
 */
export function createKeyring(entries: readonly KeyringEntry[]): Keyring {
  const known: Array<{ key: string; credential: MarkedCredential }> = []
  for (const { auths, marks } of entries)
    for (const [location, auth] of Object.entries(auths)) {
      const key = keyOf(location)
      const credential = credentialOf(auth)
      if (key !== undefined && credential)
        known.push({ key, credential: { ...credential, ...(marks && { marks: marks(credential) }) } })
    }
  // Longer paths come before the hosts that they begin with.
  known.sort((a, b) => (a.key < b.key ? 1 : a.key > b.key ? -1 : 0))
  return {
    lookup(server, repository) {
      const found = known.filter(({ key }) => matches(key, `${server}/${repository}`))
      const all = found.length > 0 || server !== DOCKER_HUB ? found : known.filter(({ key }) => key === DOCKER_HUB_KEY)
      return all.map(({ credential }) => credential)
    },
  }
}

/** Undefined where it names no server. `/v1/` and `/v2/` are ways of writing the host alone. */
function keyOf(location: string): string | undefined {
  const match = /^(?:https?:\/\/)?([^/]+)(\/.*)?$/.exec(location)
  if (!match) return undefined
  const path = (match[2] ?? '').replace(/^\/v[12]\//, '/')
  return `${match[1]}${path === '/' ? '' : path}`
}

export function credentialOf({ username, password, auth, identitytoken }: DockerAuth): MarkedCredential | undefined {
  if (typeof identitytoken === 'string' && identitytoken !== '') return { identityToken: identitytoken }
  if (typeof auth === 'string' && auth !== '') {
    const text = Buffer.from(auth, 'base64').toString('utf8')
    const colon = text.indexOf(':')
    return colon < 0 ? undefined : { username: text.slice(0, colon), password: text.slice(colon + 1) }
  }
  return typeof username === 'string' && typeof password === 'string' ? { username, password } : undefined
}

function matches(key: string, image: string): boolean {
  const [pattern, path] = split(key)
  const [host, repository] = split(image)
  const [patternName = '', patternPort] = pattern.split(':')
  const [name = '', port] = host.split(':')
  if (patternPort !== port || !`/${repository}`.startsWith(path === '' ? '' : `/${path}`)) return false
  const [wanted, given] = [patternName.split('.'), name.split('.')]
  return wanted.length === given.length && wanted.every((part, index) => matchesPart(part, given[index] ?? ''))
}

function split(text: string): [host: string, rest: string] {
  const slash = text.indexOf('/')
  return slash < 0 ? [text, ''] : [text.slice(0, slash), text.slice(slash + 1)]
}

/** Goes back to the last `*` alone, so that a hostile pattern costs no more than its length times the name's. */
function matchesPart(pattern: string, text: string): boolean {
  let at = 0
  let star = -1
  let from = 0
  for (let index = 0; index < text.length; ) {
    if (pattern[at] === '*') {
      star = at++
      from = index
    } else if (pattern[at] === '?' || pattern[at] === text[index]) {
      at++
      index++
    } else if (star >= 0) {
      at = star + 1
      index = ++from
    } else return false
  }
  return /^\**$/.test(pattern.slice(at))
}
