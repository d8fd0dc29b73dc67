/** Which form of an answer a client accepts: JSON or YAML, of the object itself, of a Table or of its metadata alone. */
import { notAcceptable } from '../verbs/errors.ts'

export interface Accepted {
  encoding: 'json' | 'yaml'
  /** What the object is turned into first. */
  as: 'object' | 'Table' | 'PartialObjectMetadata' | 'PartialObjectMetadataList'
  /** Of the meta.k8s.io version that `as` is asked in. */
  metaVersion: 'v1' | 'v1beta1'
  /** Discovery: the aggregated form. Its version v2 alone is served, as in Kubernetes 1.34. */
  aggregated: boolean
}

const JSON_OBJECT: Accepted = Object.freeze({
  encoding: 'json',
  as: 'object',
  metaVersion: 'v1',
  aggregated: false,
})
const YAML_OBJECT: Accepted = Object.freeze({ ...JSON_OBJECT, encoding: 'yaml' })

// Clients send a handful of different headers, over and over.
const parsed = new Map<string, Accepted | undefined>()
const MAX_PARSED = 256

/** Throws NotAcceptable where nothing that the header names can be served. */
export function negotiate(header: string | undefined, canWatch = false): Accepted {
  const accepted = acceptedForm(header)
  if (!accepted) throw notAcceptable(canWatch)
  return accepted
}

/** The form that the client likes best of those that are served; undefined where it accepts none. */
export function acceptedForm(header: string | undefined): Accepted | undefined {
  if (header === undefined || header === '' || header === '*/*' || header === 'application/json') return JSON_OBJECT
  let accepted = parsed.get(header)
  if (accepted === undefined && !parsed.has(header)) {
    accepted = parse(header)
    if (parsed.size >= MAX_PARSED) parsed.clear()
    parsed.set(header, accepted)
  }
  return accepted
}

interface Clause {
  type: string
  parameters: ReadonlyMap<string, string>
  quality: number
}

/** The media types of an Accept header without their parameters, in lower case, the best liked first. */
export function acceptedTypes(header: string): string[] {
  return parseClauses(header).map(({ type }) => type)
}

function parseClauses(header: string): Clause[] {
  // Sorting is stable: equal qualities stay in the client's order.
  return header
    .split(',')
    .map(parseClause)
    .sort((a, b) => b.quality - a.quality)
}

function parse(header: string): Accepted | undefined {
  for (const clause of parseClauses(header)) {
    const accepted = acceptClause(clause)
    if (accepted) return accepted
  }
  return undefined
}

function parseClause(text: string): Clause {
  const [type = '', ...rest] = text.split(';').map((part) => part.trim())
  const parameters = new Map(
    rest.map((part) => {
      const at = part.indexOf('=')
      return [part.slice(0, at), part.slice(at + 1)] as const
    }),
  )
  const quality = Number(parameters.get('q') ?? 1)
  return { type: type.toLowerCase(), parameters, quality: Number.isFinite(quality) ? quality : 1 }
}

const AS: ReadonlySet<string> = new Set(['Table', 'PartialObjectMetadata', 'PartialObjectMetadataList'])

function acceptClause({ type, parameters }: Clause): Accepted | undefined {
  const isJson = type === 'application/json' || type === '*/*' || type === 'application/*'
  const isYaml = type === 'application/yaml' || type === 'application/x-yaml' || type === 'text/yaml'
  if (!isJson && !isYaml) return undefined
  const base = isJson ? JSON_OBJECT : YAML_OBJECT
  const as = parameters.get('as')
  if (as === undefined) return base
  const group = parameters.get('g')
  const version = parameters.get('v')
  if (group === 'apidiscovery.k8s.io' && as === 'APIGroupDiscoveryList')
    return version === 'v2' ? { ...base, aggregated: true } : undefined
  if (group !== 'meta.k8s.io' || (version !== 'v1' && version !== 'v1beta1') || !AS.has(as)) return undefined
  return { ...base, as: as as Accepted['as'], metaVersion: version }
}
