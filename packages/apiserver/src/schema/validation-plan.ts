/** What validation asks of the nodes of a schema, worked out once for each. */
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
  asWritten: Typing
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
    logical: Boolean(schema.allOf || schema.anyOf || schema.oneOf || schema.not),
  }
}
