/**
 * Writes src/protobuf/generated/messages.json: the field numbers of Kubernetes' built-in definitions on the wire.
 *
 *     node packages/apiserver/scripts/generate-protobuf.ts            writes it
 *     node packages/apiserver/scripts/generate-protobuf.ts --check    exits 1 when the committed one differs
 *
 * Numbers and types come from the .proto files inside the Go modules, the names in JSON and which fields are pointers in
 * Go (`?`, left out where they are absent; others are always written) from src/schema/generated/, so that has to be up to
 * date first. Needs `go` and the Go module proxy.
 */
import { execFileSync } from 'node:child_process'
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

const STAGING = 'v0.34.4'

const MODULES: readonly [prefix: string, module: string, path: string][] = [
  ['io.k8s.api.', 'k8s.io/api', ''],
  ['io.k8s.apimachinery.', 'k8s.io/apimachinery', ''],
  ['io.k8s.apiextensions-apiserver.', 'k8s.io/apiextensions-apiserver', ''],
  ['io.k8s.kube-aggregator.', 'k8s.io/kube-aggregator', ''],
]

const schemas = new URL('../src/schema/generated/', import.meta.url)
const target = fileURLToPath(new URL('../src/protobuf/generated/messages.json', import.meta.url))

interface Field {
  number: number
  name: string
  /** `string`, `int32` …, or the name of a message. */
  type: string
  repeated: boolean
  map: boolean
}

function moduleDirectory(module: string): string {
  const scratch = mkdtempSync(join(tmpdir(), 'generate-protobuf-'))
  try {
    execFileSync('go', ['mod', 'init', 'scratch'], { cwd: scratch, stdio: 'ignore' })
    const said = execFileSync('go', ['mod', 'download', '-json', `${module}@${STAGING}`], {
      cwd: scratch,
      encoding: 'utf8',
    })
    return (JSON.parse(said) as { Dir: string }).Dir
  } finally {
    rmSync(scratch, { recursive: true })
  }
}

const directories = new Map(MODULES.map(([, module]) => [module, moduleDirectory(module)]))
const parsed = new Map<string, ReadonlyMap<string, Field[]>>()

/** The messages of a package such as `io.k8s.api.core.v1`, by their short names. */
function messagesOf(prefix: string): ReadonlyMap<string, Field[]> {
  let messages = parsed.get(prefix)
  if (!messages) {
    const found = MODULES.find(([start]) => prefix.startsWith(start))
    if (!found) throw new Error(`no Go module known for ${prefix}`)
    const path = join(
      directories.get(found[1]) as string,
      ...prefix.slice(found[0].length).split('.'),
      'generated.proto',
    )
    messages = existsSync(path) ? parseProto(readFileSync(path, 'utf8'), prefix) : new Map()
    parsed.set(prefix, messages)
  }
  return messages
}

function parseProto(text: string, prefix: string): Map<string, Field[]> {
  const messages = new Map<string, Field[]>()
  const plain = text.replace(/\/\/.*$/gm, '')
  for (const [, message = '', body = ''] of plain.matchAll(/^message (\w+) \{([^}]*)\}/gm)) {
    const fields: Field[] = []
    const pattern = /(optional|repeated|map<string,)\s+([\w.]+)>?\s+(\w+)\s*=\s*(\d+);/g
    for (const [, label, type = '', name = '', number] of body.matchAll(pattern)) {
      fields.push({
        number: Number(number),
        name,
        type: qualified(type, prefix),
        repeated: label === 'repeated',
        map: label === 'map<string,',
      })
    }
    messages.set(message, fields)
  }
  return messages
}

const SCALARS = new Set(['string', 'bool', 'bytes', 'int32', 'int64', 'double'])

function qualified(type: string, prefix: string): string {
  if (SCALARS.has(type)) return type
  if (!type.includes('.')) return `${prefix}.${type}`
  // `.k8s.io.apimachinery.pkg.…`: the module's name, which definitions spell the other way round.
  const name = type.replace(/^\./, '')
  return name
    .replace(/^k8s\.io\.apiextensions_apiserver\./, 'io.k8s.apiextensions-apiserver.')
    .replace(/^k8s\.io\./, 'io.k8s.')
}

/** Fields that JSON spells in another way than Go's protobuf does. */
const RENAMED: Readonly<Record<string, string>> = { schema: '$schema', ref: '$ref', Raw: 'raw', aPIGroup: 'apiGroup' }

function jsonName(field: Field, properties: Properties): string | undefined {
  const kebab = field.name.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)
  // Of some Go fields the tag says what they are called in JSON and not in protobuf: `Expression`.
  const lower = `${field.name.charAt(0).toLowerCase()}${field.name.slice(1)}`
  return [field.name, RENAMED[field.name] ?? field.name, kebab, lower].find((name) => name in properties)
}

type Properties = Readonly<Record<string, { 'x-go'?: string }>>
type Definitions = Readonly<Record<string, { properties?: Properties }>>

/** What has no schema: objects without all but their metadata. */
const PARTIAL: Readonly<Record<string, Properties>> = {
  'io.k8s.apimachinery.pkg.apis.meta.v1.PartialObjectMetadata': { metadata: {} },
  'io.k8s.apimachinery.pkg.apis.meta.v1.PartialObjectMetadataList': { metadata: {}, items: {} },
  'io.k8s.apimachinery.pkg.apis.meta.v1beta1.PartialObjectMetadataList': { metadata: {}, items: {} },
}

function generate(): string {
  const lines: string[] = []
  for (const file of readdirSync(schemas).sort()) {
    const prefix = file.replace(/\.json$/, '')
    // metrics-server's, which nobody asks for in protobuf here.
    if (prefix.startsWith('io.k8s.metrics.')) continue
    const definitions = JSON.parse(readFileSync(new URL(file, schemas), 'utf8')) as Definitions
    for (const [name, { properties = {} }] of Object.entries(definitions))
      addMessage(`${prefix}.${name}`, properties, lines)
  }
  for (const [name, properties] of Object.entries(PARTIAL)) addMessage(name, properties, lines)
  return `{\n${lines.sort().join(',\n')}\n}\n`
}

const added = new Set<string>()

function addMessage(definition: string, properties: Properties, lines: string[]): void {
  if (added.has(definition)) return
  added.add(definition)
  const at = definition.lastIndexOf('.')
  const fields = messagesOf(definition.slice(0, at)).get(definition.slice(at + 1))
  if (!fields) return
  const texts: string[] = []
  for (const field of fields) {
    const name = jsonName(field, properties)
    if (name !== undefined) {
      const shape = field.map ? '{}' : field.repeated ? '[]' : properties[name]?.['x-go']?.startsWith('*') ? '?' : ''
      texts.push(`${field.number} ${name} ${field.type}${shape}`)
    } else if (!SCALARS.has(field.type)) {
      // An embedded struct: on the wire a message of its own, in JSON the fields of the one around it.
      texts.push(`${field.number} ~ ${field.type}`)
      addMessage(field.type, properties, lines)
    }
  }
  lines.push(`${JSON.stringify(definition)}:${JSON.stringify(texts.join(','))}`)
}

const text = generate()
if (!process.argv.includes('--check')) writeFileSync(target, text)
else if (!existsSync(target) || readFileSync(target, 'utf8') !== text) {
  console.error('out of date: messages.json; run node packages/apiserver/scripts/generate-protobuf.ts')
  process.exitCode = 1
}
