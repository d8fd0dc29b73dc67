/** What validation asks of the nodes of a schema, worked out once for each. */
import { createHash } from 'node:crypto'
import { goQuote, LONGEST_SHOWN } from '../registry/field-error.ts'
import { canonicalJson } from './canonical-json.ts'
import { formatCheck } from './format.ts'
import type { SchemaNode } from './node.ts'
import type { Schema } from './schema.ts'

/** What validation has to know of a node beyond the node itself. */
export interface Plan extends Typing {
  node: SchemaNode
  schema: Schema
  /** Of formats that Kubernetes checks; every other one counts as none. */
  format: ((text: string) => boolean) | undefined
  logical: boolean
  enumerated: Enumerated | undefined
  asWritten: Typing
}

/** The values that may be, of which there may be tens of thousands, for as many values that are looked at. */
export interface Enumerated {
  /** Canonical JSON. */
  texts: ReadonlySet<string>
  /** In the order in which they were given, no more than is shown. */
  shown: string
  /** The same for the same values. */
  digest: string
}

export interface Typing {
  types: readonly string[]
  formatName: string | undefined
  numeric: boolean
}

function typingOf(types: readonly string[], formatName: string | undefined): Typing {
  return { types, formatName, numeric: types.includes('integer') || types.includes('number') }
}

const plans = new WeakMap<SchemaNode, Plan>()

export function planOf(node: SchemaNode): Plan {
  let plan = plans.get(node)
  if (!plan) {
    plan = makePlan(node)
    plans.set(node, plan)
  }
  return plan
}

function enumeratedOf(values: readonly unknown[]): Enumerated {
  const texts = values.map(canonicalJson)
  let shown = ''
  for (const [index, value] of values.entries()) {
    if (shown.length > LONGEST_SHOWN) break
    const text = typeof value === 'string' ? value : (texts[index] as string)
    shown += `${index === 0 ? '' : ', '}${goQuote(text.slice(0, LONGEST_SHOWN))}`
  }
  return {
    texts: new Set(texts),
    shown: shown.length > LONGEST_SHOWN ? `${shown.slice(0, LONGEST_SHOWN)}…` : shown,
    digest: createHash('sha256').update(JSON.stringify(texts)).digest('base64'),
  }
}

function makePlan(node: SchemaNode): Plan {
  const { schema } = node
  const written = schema.type ? [schema.type] : []
  const types = schema['x-kubernetes-int-or-string'] ? ['integer', 'string'] : written
  const format = formatCheck(schema.format)
  return {
    node,
    schema,
    ...typingOf(types, format && schema.format),
    asWritten: typingOf(written, schema.format),
    format,
    enumerated: schema.enum?.length ? enumeratedOf(schema.enum) : undefined,
    logical: Boolean(schema.allOf || schema.anyOf || schema.oneOf || schema.not),
  }
}
