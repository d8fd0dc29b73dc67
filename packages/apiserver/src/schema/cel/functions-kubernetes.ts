/** Kubernetes' own types in CEL: quantities, URLs, addresses, versions, named formats. */
import { goQuote } from '../../registry/field-error.ts'
import { dns1035Label, dns1123Label, dns1123Subdomain, labelValueErrors, qualifiedName } from '../../registry/names.ts'
import { nanoOf } from '../../registry/quantity.ts'
import { formatCheck } from '../format.ts'
import { type Declaration, declare, global, member, sizeOf, succeeds, traversal } from './functions.ts'
import { ADDRESS_FUNCTIONS } from './functions-addresses.ts'
import { STANDARD } from './functions-standard.ts'
import { parseVersion, type SemanticVersion } from './semantic-version.ts'
import {
  BOOL,
  DOUBLE,
  FORMAT,
  INT,
  listOf,
  mapOf,
  optionalOf,
  QUANTITY,
  SEMVER,
  STRING,
  type Type,
  URL_TYPE,
} from './types.ts'
import { ArrayList, EntryMap, EvaluationError, NONE, OpaqueValue, Optional, type Value } from './values.ts'

const NANO = 1_000_000_000n

class QuantityValue extends OpaqueValue {
  override readonly typeName = 'kubernetes.Quantity'
  readonly nanos: bigint
  constructor(nanos: bigint) {
    super()
    this.nanos = nanos
  }
  override equals(other: OpaqueValue): boolean {
    return other instanceof QuantityValue && other.nanos === this.nanos
  }
  compare(other: QuantityValue): number {
    return this.nanos < other.nanos ? -1 : this.nanos > other.nanos ? 1 : 0
  }
}

function parseQuantityValue(text: string): QuantityValue {
  try {
    return new QuantityValue(nanoOf(text))
  } catch (error) {
    throw new EvaluationError((error as Error).message, { cause: error })
  }
}

function asInteger({ nanos }: QuantityValue): bigint | undefined {
  const value = nanos / NANO
  return nanos % NANO === 0n && BigInt.asIntN(64, value) === value ? value : undefined
}

const quantities = [
  declare(
    'quantity',
    global('string_to_quantity', [STRING], QUANTITY, (_, text: string) => parseQuantityValue(text), {
      cost: traversal(),
    }),
  ),
  declare(
    'isQuantity',
    global('is_quantity_string', [STRING], BOOL, (_, text: string) => succeeds(() => parseQuantityValue(text)), {
      cost: traversal(),
    }),
  ),
  declare(
    'sign',
    global('quantity_sign', [QUANTITY], INT, (_, { nanos }: QuantityValue) =>
      nanos < 0n ? -1n : nanos > 0n ? 1n : 0n,
    ),
  ),
  declare(
    'asInteger',
    member('quantity_get_int', [QUANTITY], INT, (_, quantity: QuantityValue) => {
      const value = asInteger(quantity)
      if (value === undefined) throw new EvaluationError('cannot convert value to integer')
      return value
    }),
  ),
  declare(
    'isInteger',
    member('quantity_is_integer', [QUANTITY], BOOL, (_, quantity: QuantityValue) => asInteger(quantity) !== undefined),
  ),
  declare(
    'asApproximateFloat',
    member('quantity_get_float', [QUANTITY], DOUBLE, (_, { nanos }: QuantityValue) => Number(nanos) / 1e9),
  ),
  ...(['add', 'sub'] as const).map((name) => {
    const sign = name === 'add' ? 1n : -1n
    return declare(
      name,
      member(
        `quantity_${name}`,
        [QUANTITY, QUANTITY],
        QUANTITY,
        (_, a: QuantityValue, b: QuantityValue) => new QuantityValue(a.nanos + sign * b.nanos),
      ),
      member(
        `quantity_${name}_int`,
        [QUANTITY, INT],
        QUANTITY,
        (_, a: QuantityValue, b: bigint) => new QuantityValue(a.nanos + sign * b * NANO),
      ),
    )
  }),
]

interface Ordered {
  compare(other: Ordered): number
}

const ordered: ReadonlyArray<readonly [prefix: string, type: Type]> = [
  ['quantity', QUANTITY],
  ['semver', SEMVER],
]

const comparisons = [
  declare(
    'isGreaterThan',
    ...ordered.map(([id, type]) =>
      member(`${id}_is_greater_than`, [type, type], BOOL, (_, a: Ordered, b: Ordered) => a.compare(b) > 0),
    ),
  ),
  declare(
    'isLessThan',
    ...ordered.map(([id, type]) =>
      member(`${id}_is_less_than`, [type, type], BOOL, (_, a: Ordered, b: Ordered) => a.compare(b) < 0),
    ),
  ),
  declare(
    'compareTo',
    ...ordered.map(([id, type]) =>
      member(`${id}_compare_to`, [type, type], INT, (_, a: Ordered, b: Ordered) => BigInt(a.compare(b))),
    ),
  ),
]

const versions = [
  declare(
    'semver',
    global('string_to_semver', [STRING], SEMVER, (_, text: string) => parseVersion(text, false), { cost: traversal() }),
    global(
      'string_bool_to_semver',
      [STRING, BOOL],
      SEMVER,
      (_, text: string, normalize: boolean) => parseVersion(text, normalize),
      { cost: traversal() },
    ),
  ),
  declare(
    'isSemver',
    global('is_semver_string', [STRING], BOOL, (_, text: string) => succeeds(() => parseVersion(text, false)), {
      cost: traversal(),
    }),
    global(
      'is_semver_string_bool',
      [STRING, BOOL],
      BOOL,
      (_, text: string, normalize: boolean) => succeeds(() => parseVersion(text, normalize)),
      { cost: traversal() },
    ),
  ),
  ...['major', 'minor', 'patch'].map((name, index) =>
    declare(
      name,
      member(`semver_${name}`, [SEMVER], INT, (_, version: SemanticVersion) => version.numbers[index] as bigint),
    ),
  ),
]

/** A URL in its parts, as Go's `net/url` splits them. */
class UrlValue extends OpaqueValue {
  override readonly typeName = 'kubernetes.URL'
  readonly text: string
  readonly scheme: string
  readonly host: string
  readonly path: string
  readonly query: string
  constructor(text: string) {
    super()
    this.text = text
    const [, scheme, authority, path, query] =
      /^(?:([a-zA-Z][a-zA-Z0-9+.-]*):)?(?:\/\/([^/?#]*))?([^?#]*)(?:\?([^#]*))?/.exec(text) as RegExpExecArray
    this.scheme = scheme?.toLowerCase() ?? ''
    this.host = authority?.replace(/^.*@/, '') ?? ''
    this.path = path ?? ''
    this.query = query ?? ''
  }
  override equals(other: OpaqueValue): boolean {
    return other instanceof UrlValue && other.text === this.text
  }
  get hostname(): string {
    return this.host.startsWith('[') ? this.host.slice(1, this.host.indexOf(']')) : this.host.replace(/:\d*$/, '')
  }
  get port(): string {
    return /:(\d+)$/.exec(this.host)?.[1] ?? ''
  }
  /** What a path may not hold as it is, escaped; escapes stay. */
  get escapedPath(): string {
    return this.path.replace(/[^A-Za-z0-9\-._~!$&'()*+,;=:@/%[\]]/gu, (character) => encodeURIComponent(character))
  }
  get queryValues(): EntryMap {
    const values = new EntryMap()
    for (const [key, value] of new URLSearchParams(this.query)) {
      const found = values.find(key)
      if (found instanceof ArrayList) found.items.push(value)
      else values.insert(key, new ArrayList([value]))
    }
    return values
  }
}

const isUrl = formatCheck('uri') as (text: string) => boolean

function parseUrl(text: string): UrlValue {
  if (!isUrl(text)) {
    const said = text === '' ? 'empty url' : 'invalid URI for request'
    throw new EvaluationError(`URL parse error during conversion from string: parse ${goQuote(text)}: ${said}`)
  }
  return new UrlValue(text)
}

const URL_PARTS: ReadonlyArray<
  readonly [name: string, id: string, part: 'scheme' | 'host' | 'hostname' | 'port' | 'escapedPath']
> = [
  ['getScheme', 'scheme', 'scheme'],
  ['getHost', 'host', 'host'],
  ['getHostname', 'hostname', 'hostname'],
  ['getPort', 'port', 'port'],
  ['getEscapedPath', 'escaped_path', 'escapedPath'],
]

const urls = [
  declare(
    'url',
    global('string_to_url', [STRING], URL_TYPE, (_, text: string) => parseUrl(text), { cost: traversal() }),
  ),
  declare(
    'isURL',
    global('is_url_string', [STRING], BOOL, (_, text: string) => isUrl(text)),
  ),
  ...URL_PARTS.map(([name, id, part]) =>
    declare(
      name,
      member(`url_get_${id}`, [URL_TYPE], STRING, (_, url: UrlValue) => url[part]),
    ),
  ),
  declare(
    'getQuery',
    member('url_get_query', [URL_TYPE], mapOf(STRING, listOf(STRING)), (_, url: UrlValue) => url.queryValues),
  ),
]

class FormatValue extends OpaqueValue {
  override readonly typeName = 'kubernetes.NamedFormat'
  readonly name: string
  readonly regexSize: number
  readonly check: (text: string) => readonly string[]
  constructor(name: string, regexSize: number, check: (text: string) => readonly string[]) {
    super()
    this.name = name
    this.regexSize = regexSize
    this.check = check
  }
  override equals(other: OpaqueValue): boolean {
    return other instanceof FormatValue && other.name === this.name
  }
}

function fieldFormat(name: string, problem: string): (text: string) => readonly string[] {
  const check = formatCheck(name) as (text: string) => boolean
  return (text) => (check(text) ? [] : [problem])
}

/** A generateName may end in a dash. */
function prefix(check: (text: string) => readonly string[]): (text: string) => readonly string[] {
  return (text) => check(text.length > 1 && text.endsWith('-') ? `${text.slice(0, -2)}a` : text)
}

const FORMATS: ReadonlyMap<string, FormatValue> = new Map(
  (
    [
      ['dns1123Label', 30, dns1123Label],
      ['dns1123Subdomain', 60, dns1123Subdomain],
      ['dns1035Label', 30, dns1035Label],
      ['qualifiedName', 60, qualifiedName],
      ['dns1123LabelPrefix', 30, prefix(dns1123Label)],
      ['dns1123SubdomainPrefix', 60, prefix(dns1123Subdomain)],
      ['dns1035LabelPrefix', 30, prefix(dns1035Label)],
      ['labelValue', 40, labelValueErrors],
      ['uri', 1_000, fieldFormat('uri', 'invalid URI for request')],
      ['uuid', 87, fieldFormat('uuid', 'does not match the UUID format')],
      ['byte', 84, fieldFormat('byte', 'invalid base64')],
      ['date', 75, fieldFormat('date', 'invalid date')],
      ['datetime', 75, fieldFormat('datetime', 'invalid datetime')],
    ] as const
  ).map(([name, size, check]) => [name, new FormatValue(name, size, check)]),
)

const formats = [
  declare(
    'format.named',
    global('format-named', [STRING], optionalOf(FORMAT), (_, name: string) => {
      const found = FORMATS.get(name)
      return found ? new Optional(found) : NONE
    }),
  ),
  ...[...FORMATS].map(([name, format]) =>
    declare(
      `format.${name}`,
      global(`format.${name}`, [], FORMAT, () => format),
    ),
  ),
  declare(
    'validate',
    member(
      'format-validate',
      [FORMAT, STRING],
      optionalOf(listOf(STRING)),
      (_, format: FormatValue, text: string) => {
        const problems = format.check(text)
        return problems.length === 0 ? NONE : new Optional(new ArrayList([...problems]))
      },
      {
        cost: ([format, text]) =>
          Math.ceil((1 + sizeOf(text as Value)) * 0.1) * Math.ceil((format as FormatValue).regexSize * 0.25),
      },
    ),
  ),
]

export const KUBERNETES: readonly Declaration[] = [
  ...STANDARD,
  ...quantities,
  ...comparisons,
  ...versions,
  ...urls,
  ...ADDRESS_FUNCTIONS,
  ...formats,
]
