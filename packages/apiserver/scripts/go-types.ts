/** Reads the JSON fields of Go structs from their source, as far as Kubernetes' API types go. */
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'

export interface GoField {
  /** As Go prints it in decoding errors: `*int32`, `[]v1.Container`, `map[string]string`. */
  type: string
  /** `omitempty`, `omitzero` or both, by commas; empty for neither. */
  tags: string
}

const BUILTIN_TYPES = new Set(
  'bool string byte int int8 int16 int32 int64 uint8 uint32 uint64 float32 float64 interface{}'.split(' '),
)

const sources = new Map<string, string>()

/** The JSON fields of struct `type` in the package at `directory`, those of inlined structs included. */
export function goFields(directory: string, type: string): ReadonlyMap<string, GoField> | undefined {
  const source = packageSource(directory)
  const body = new RegExp(`^type ${type} struct \\{\\n([\\s\\S]*?)^\\}`, 'm').exec(source)?.[1]
  if (body === undefined) return undefined
  const fields = new Map<string, GoField>()
  for (const line of body.split('\n')) {
    const match = /^\t(?:(\w+)\s+)?(\S+)\s+`(.*)`/.exec(line)
    if (!match || line.trimStart().startsWith('//')) continue
    const [, , goType = '', tags = ''] = match
    const json = /json:"([^"]*)"/.exec(tags)?.[1]
    if (json === undefined || json === '-') continue
    const [name = '', ...options] = json.split(',')
    if (options.includes('inline') || name === '') {
      for (const [inner, field] of inlined(directory, goType)) fields.set(inner, field)
      continue
    }
    fields.set(name, { type: qualify(goType, directory), tags: options.filter((o) => o.startsWith('omit')).join(',') })
  }
  return fields
}

function inlined(directory: string, type: string): Iterable<[string, GoField]> {
  if (type === 'metav1.TypeMeta' || type === 'TypeMeta') {
    const field = { type: 'string', tags: 'omitempty' }
    return [
      ['apiVersion', field],
      ['kind', field],
    ]
  }
  const fields = goFields(directory, type)
  if (!fields) throw new Error(`cannot inline ${type} in ${directory}`)
  return fields
}

function packageSource(directory: string): string {
  let source = sources.get(directory)
  if (source === undefined) {
    source = readdirSync(directory)
      .filter(
        (file) =>
          file.endsWith('.go') && !file.endsWith('_test.go') && !file.startsWith('zz_') && !file.endsWith('.pb.go'),
      )
      .sort()
      .map((file) => readFileSync(join(directory, file), 'utf8'))
      .join('\n')
    sources.set(directory, source)
  }
  return source
}

/** `metav1.Time` and a local `Container` both print with their package's own name, `v1`. */
function qualify(type: string, directory: string): string {
  const [, prefix = '', base = ''] = /^((?:\*|\[\]|map\[[\w.]+\])*)(.*)$/.exec(type) ?? []
  if (BUILTIN_TYPES.has(base)) return type
  if (/^(metav1|v1|corev1)\./.test(base)) return `${prefix}${base.replace(/^\w+\./, 'v1.')}`
  if (base.includes('.')) return type
  return `${prefix}${directory.split('/').pop()}.${base}`
}
