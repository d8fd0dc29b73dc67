/** Files of Kubernetes objects, as people write them: which objects they hold, and what is wrong with those that hold none. */
import { readFileSync } from 'node:fs'
import { KUBERNETES_YAML, type KubeObject, yamlProblem } from '@caisson/api'
import { type Document, parseAllDocuments } from 'yaml'
import { CliError, type CliErrorCode } from '../cli-error.ts'

export interface ManifestObject {
  object: KubeObject
  /** Where it stands, for errors: `app.yaml, document 2 (Sandbox box)`. */
  place: string
}

export interface Manifests {
  objects: ManifestObject[]
  /** One of each file that cannot be read whole; none of its objects is among those above. */
  failures: CliError[]
}

const STANDARD_INPUT = '-'

/** Reads each file for itself, YAML or JSON; `-` is standard input. */
export function readManifests(files: readonly string[]): Manifests {
  const manifests: Manifests = { objects: [], failures: [] }
  for (const file of files) {
    try {
      manifests.objects.push(...readObjects(file))
    } catch (error) {
      if (!(error instanceof CliError)) throw error
      manifests.failures.push(error)
    }
  }
  return manifests
}

function readObjects(file: string): ManifestObject[] {
  const name = file === STANDARD_INPUT ? 'standard input' : file
  const documents = parseAllDocuments(readText(file, name), KUBERNETES_YAML)
  const objects = documents.flatMap((document, index) => objectsOf(document, name, `${name}, document ${index + 1}`))
  if (objects.length === 0)
    throw new CliError('usage', `${name} holds no object: write one with apiVersion, kind and metadata.name`)
  return objects
}

const REASONS: Record<string, [code: CliErrorCode, why: string]> = {
  ENOENT: ['not-found', 'does not exist: name a file that does, or - for standard input'],
  EISDIR: ['usage', 'is a directory: name its files, each with a -f of its own'],
  EACCES: ['not-permitted', 'may not be read by you: name a file that may'],
}

function readText(file: string, name: string): string {
  let bytes: Buffer
  try {
    bytes = readFileSync(file === STANDARD_INPUT ? 0 : file)
  } catch (cause) {
    const { code = '' } = cause as NodeJS.ErrnoException
    const [kind, why] = REASONS[code] ?? ['failed', `cannot be read (${code}): name another file`]
    throw new CliError(kind, `${name} ${why}`, { cause })
  }
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes)
  } catch (cause) {
    throw new CliError('usage', `${name} is no text in UTF-8: name a file of YAML or JSON`, { cause })
  }
}

function objectsOf(document: Document.Parsed | Document, name: string, place: string): ManifestObject[] {
  const [error] = document.errors
  if (error) throw new CliError('usage', yamlProblem(error, name), { cause: error })
  const value = valueOf(document, place)
  // Of what stands between two lines of dashes, nothing.
  if (value === null) return []
  if (!isObject(value) || value['kind'] !== 'List' || !Array.isArray(value['items']))
    return [manifestObject(value, place)]
  return value['items'].map((item: unknown, index) => manifestObject(item, `${place}, item ${index + 1}`))
}

function valueOf(document: Document, place: string): unknown {
  try {
    return document.toJS()
  } catch (cause) {
    throw new CliError('usage', `${place}: ${(cause as Error).message}: write out what its aliases stand for`, {
      cause,
    })
  }
}

function manifestObject(value: unknown, place: string): ManifestObject {
  if (isKubeObject(value)) return { object: value, place: `${place} (${value.kind} ${value.metadata.name})` }
  throw new CliError('usage', `${place}: expected an object with apiVersion, kind and metadata.name, each of them text`)
}

function isKubeObject(value: unknown): value is KubeObject {
  if (!isObject(value) || !isObject(value['metadata'])) return false
  return [value['apiVersion'], value['kind'], value['metadata']['name']].every(
    (field) => typeof field === 'string' && field !== '',
  )
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}
