/** Paths that name a field by its schema: `.spec.labels['a.b']`, as in selectable fields and in `fieldPath` of CEL rules. */
import type { Schema } from './schema.ts'

export class SchemaPathError extends Error {
  override readonly name = 'SchemaPathError'
  readonly code = 'schema-path'
}

/** The field path in the form of error messages (`spec.labels[a.b]`), and the schema that is found there. */
export function schemaAt(
  root: Schema,
  text: string,
  { brackets = true }: { brackets?: boolean } = {},
): { path: string; schema: Schema } {
  let schema = root
  let path = ''
  const tokens = tokenize(text)
  const descend = (name: string): void => {
    const { properties, additionalProperties } = schema
    if (properties) {
      if (!Object.hasOwn(properties, name)) throw new SchemaPathError('does not refer to a valid field')
      path = path === '' ? name : `${path}.${name}`
      schema = properties[name] as Schema
    } else if (typeof additionalProperties === 'object') {
      path = `${path}[${name}]`
      schema = additionalProperties
    } else throw new SchemaPathError('does not refer to a valid field')
  }
  for (let at = 0; at < tokens.length; at++) {
    const token = tokens[at] as string
    const operand = tokens[at + 1]
    if (token === '[') {
      if (!brackets) throw new SchemaPathError('array notation is not allowed')
      if (operand === undefined) throw new SchemaPathError('unexpected end of JSON path')
      if (operand.length < 2 || !operand.startsWith("'") || !operand.endsWith("'")) {
        throw new SchemaPathError(`expected single quoted string but got ${operand}`)
      }
      descend(unescape(operand.slice(1, -1)))
      const close = tokens[at + 2]
      if (close === undefined) throw new SchemaPathError('unexpected end of JSON path')
      if (close !== ']') throw new SchemaPathError(`expected ] but got ${close}`)
      at += 2
    } else if (token === '.') {
      if (operand === undefined) throw new SchemaPathError('unexpected end of JSON path')
      descend(operand)
      at++
    } else throw new SchemaPathError(`expected [ or . but got: ${token}`)
  }
  return { path, schema }
}

function tokenize(text: string): string[] {
  return text.match(/'(?:[^'\\]|\\.)*'|[.[\]]|[^.[\]]+/gs) ?? []
}

function unescape(text: string): string {
  return text.replace(/\\(.)/gs, '$1')
}
