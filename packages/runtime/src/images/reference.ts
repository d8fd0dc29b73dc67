import { RuntimeError } from '../runtime-error.ts'

/** The parts of an image's name, as the field's distribution specification has them. */
export interface ImageReference {
  /** Host, with a port where one was given. */
  registry: string
  repository: string
  tag: string | undefined
  digest: string | undefined
}

const DEFAULT_REGISTRY = 'docker.io'
const COMPONENT = /^[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*$/
const HOST =
  /^(?:[a-zA-Z0-9](?:[a-zA-Z0-9-]*[a-zA-Z0-9])?)(?:\.[a-zA-Z0-9](?:[a-zA-Z0-9-]*[a-zA-Z0-9])?)*(?::\d{1,5})?$/
const TAG = /^\w[\w.-]{0,127}$/
const DIGEST = /^sha256:[0-9a-f]{64}$/
const LONGEST = 512

/**
 * Reads a name as people write it: `busybox`, `example.org:5000/team/app:v1`, `app@sha256:…`.
 * Throws a `RuntimeError` of code `invalid-name` where no image can have that name.
 */
export function parseReference(text: string): ImageReference {
  const invalid = (why: string): RuntimeError =>
    new RuntimeError('invalid-name', `${JSON.stringify(text.slice(0, 200))} is not the name of an image: ${why}`)
  if (text.length === 0 || text.length > LONGEST) throw invalid(`it must have 1 to ${LONGEST} characters`)
  const [name = '', digest, ...more] = text.split('@')
  if (more.length > 0 || (digest !== undefined && !DIGEST.test(digest))) {
    throw invalid('a digest is sha256: and 64 hexadecimal digits')
  }
  const slash = name.indexOf('/')
  const first = slash < 0 ? '' : name.slice(0, slash)
  // A first part is a host where it could not be a part of a repository's name.
  const isHost = first === 'localhost' || first.includes('.') || first.includes(':') || first !== first.toLowerCase()
  const registry = isHost ? first : DEFAULT_REGISTRY
  if (!HOST.test(registry)) throw invalid(`${JSON.stringify(registry)} is not a registry's host`)
  const rest = isHost ? name.slice(slash + 1) : name
  const colon = rest.indexOf(':')
  const path = colon < 0 ? rest : rest.slice(0, colon)
  const tag = colon < 0 ? undefined : rest.slice(colon + 1)
  if (tag !== undefined && !TAG.test(tag)) throw invalid(`${JSON.stringify(tag)} is not a tag`)
  if (!path.split('/').every((component) => COMPONENT.test(component))) {
    throw invalid('a repository has lower-case letters, digits and single separators')
  }
  const official = registry === DEFAULT_REGISTRY || registry === 'index.docker.io'
  return {
    registry: official ? DEFAULT_REGISTRY : registry,
    repository: official && !path.includes('/') ? `library/${path}` : path,
    tag: tag ?? (digest === undefined ? 'latest' : undefined),
    digest,
  }
}

/** The full name: `docker.io/library/busybox:latest`. */
export function formatReference({ registry, repository, tag, digest }: ImageReference): string {
  return `${registry}/${repository}${tag === undefined ? '' : `:${tag}`}${digest === undefined ? '' : `@${digest}`}`
}

export function normalizeReference(text: string): string {
  return formatReference(parseReference(text))
}

/** The name without tag and digest: `docker.io/library/busybox`. */
export function repositoryOf({ registry, repository }: ImageReference): string {
  return `${registry}/${repository}`
}
