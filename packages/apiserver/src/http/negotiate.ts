/**
 * Which form of an answer a client accepts: JSON, YAML or protobuf, of the object itself, of a Table or of its metadata
 * alone. By the rules of kube-apiserver, also where they are odd.
 */
import { PROTOBUF_TYPE } from '../protobuf/messages.ts'
import { formNotAcceptable, notAcceptable } from '../verbs/errors.ts'

export interface Accepted {
  encoding: 'json' | 'yaml' | 'protobuf'
  /** What the object is turned into first. */
  as: 'object' | 'Table' | 'PartialObjectMetadata' | 'PartialObjectMetadataList'
  /** Of the meta.k8s.io version that `as` is asked in. */
  metaVersion: 'v1' | 'v1beta1'
  /** Discovery: the aggregated form. Its version v2 alone is served, as in Kubernetes 1.34. */
  aggregated: boolean
}

export const JSON_OBJECT: Accepted = Object.freeze({
  encoding: 'json',
  as: 'object',
  metaVersion: 'v1',
  aggregated: false,
})
const YAML_OBJECT: Accepted = Object.freeze({ ...JSON_OBJECT, encoding: 'yaml' })
const PROTOBUF_OBJECT: Accepted = Object.freeze({ ...JSON_OBJECT, encoding: 'protobuf' })

// Clients send a handful of different headers, over and over.
const parsed = new Map<string, readonly Clause[]>()
const MAX_PARSED = 256
/** Longer ones, which no client of Kubernetes sends, are parsed each time. */
const LONGEST_PARSED = 512

export interface Negotiated {
  /** Whether the objects themselves can be had in protobuf, too; metadata alone always can. */
  protobuf: boolean
  /** Whether they can be had as a Table; what is answered and not stored cannot. */
  table?: boolean
  /** Built-in kinds have routes, which look at the types alone, and look first. */
  custom: boolean
  /** For the route's list of what there is. */
  canWatch: boolean
}

/** Whether the header is one of those that everything is answered to in JSON, as most are. */
export function acceptsJsonAlone(header: string | undefined): boolean {
  return header === undefined || header === '' || header === '*/*' || header === 'application/json'
}

/** Throws NotAcceptable where nothing that the header names can be served. */
export function negotiate(
  header: string | undefined,
  { protobuf, table = true, custom, canWatch }: Negotiated,
): Accepted {
  if (header && !custom && !clausesOf(header).some(({ type }) => ROUTED.has(type))) throw notAcceptable(canWatch)
  const accepted = acceptedForm(header, protobuf, table)
  if (!accepted) throw formNotAcceptable()
  return accepted
}

const ROUTED: ReadonlySet<string> = new Set(['*/*', 'application/json', 'application/yaml', PROTOBUF_TYPE])

/** The form that the client likes best of those that are served; undefined where it accepts none. */
export function acceptedForm(header: string | undefined, protobuf = false, table = true): Accepted | undefined {
  if (header === undefined || acceptsJsonAlone(header)) return JSON_OBJECT
  for (const clause of clausesOf(header)) {
    const accepted = acceptClause(clause, protobuf)
    if (accepted && (table || accepted.as !== 'Table')) return accepted
  }
  return undefined
}

/** How the client wants to read errors, which have one form only: whoever asks for another is told in JSON. */
export function errorEncoding(header: string | undefined): Accepted['encoding'] {
  if (header === undefined) return 'json'
  const plain = clausesOf(header).filter(({ parameters }) => !TRANSFORMS.some((name) => parameters.has(name)))
  for (const clause of plain) {
    const accepted = acceptClause(clause, true)
    if (accepted) return accepted.encoding
  }
  return 'json'
}

const TRANSFORMS = ['as', 'g', 'v']

function clausesOf(header: string): readonly Clause[] {
  let clauses = parsed.get(header)
  if (clauses === undefined) {
    clauses = parseClauses(header)
    if (header.length > LONGEST_PARSED) return clauses
    if (parsed.size >= MAX_PARSED) parsed.clear()
    parsed.set(header, clauses)
  }
  return clauses
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
  const clauses = header.split(',').map(parseClause)
  return clauses.length > LONGEST_INSERTION ? clauses.sort((a, b) => b.quality - a.quality) : insertionSort(clauses)
}

/** Up to here Go sorts by insertion. */
const LONGEST_INSERTION = 12

/**
 * What is not an order (a type comes before any other type of worse quality, and before every `*` of whatever quality) is
 * only sorted the same by the same steps.
 */
function insertionSort(clauses: Clause[]): Clause[] {
  for (let end = 1; end < clauses.length; end++) {
    for (let at = end; at > 0; at--) {
      const [left, right] = [clauses[at - 1] as Clause, clauses[at] as Clause]
      if (!isBefore(right, left)) break
      clauses[at - 1] = right
      clauses[at] = left
    }
  }
  return clauses
}

function isBefore(a: Clause, b: Clause): boolean {
  if (a.quality > b.quality) return true
  if (!a.type.startsWith('*') && b.type.startsWith('*')) return true
  return !a.type.endsWith('/*') && b.type.endsWith('/*')
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

function baseOf(type: string): Accepted | undefined {
  if (type === 'application/json' || type === '*/*' || type === 'application/*' || type === '*') return JSON_OBJECT
  if (type === 'application/yaml') return YAML_OBJECT
  return type === PROTOBUF_TYPE ? PROTOBUF_OBJECT : undefined
}

function acceptClause({ type, parameters }: Clause, protobuf: boolean): Accepted | undefined {
  const base = baseOf(type)
  if (!base || !acceptsStream(base, parameters.get('stream'))) return undefined
  const isProtobuf = base === PROTOBUF_OBJECT
  const as = parameters.get('as')
  if (as === undefined) return isProtobuf && !protobuf ? undefined : base
  const group = parameters.get('g')
  const version = parameters.get('v')
  if (group === 'apidiscovery.k8s.io' && as === 'APIGroupDiscoveryList')
    return version === 'v2' && !isProtobuf ? { ...base, aggregated: true } : undefined
  if (group !== 'meta.k8s.io' || (version !== 'v1' && version !== 'v1beta1') || !AS.has(as)) return undefined
  if (as === 'Table' && isProtobuf) return undefined
  return { ...base, as: as as Accepted['as'], metaVersion: version }
}

function acceptsStream({ encoding }: Accepted, stream: string | undefined): boolean {
  return stream === undefined || stream === '' || (stream === 'watch' && encoding !== 'yaml')
}
