/** CEL conditions that narrow which requests a webhook or a policy is about, and the variables that they may use. */

import { toDynamic } from '../schema/cel/dynamic-values.ts'
import { type CompileError, compileExpression, type Expression, type Outcome } from '../schema/cel/program.ts'
import { BOOL, DYN, listOf, mapOf, STRING, structOf, type Type } from '../schema/cel/types.ts'
import type { EvaluationError, Value } from '../schema/cel/values.ts'

export interface MatchCondition {
  name: string
  expression: string
}

const strings = listOf(STRING)
const groupVersionKind = fieldsOf('kubernetes.GroupVersionKind', { group: STRING, version: STRING, kind: STRING })
const groupVersionResource = fieldsOf('kubernetes.GroupVersionResource', {
  group: STRING,
  version: STRING,
  resource: STRING,
})
const userInfo = fieldsOf('kubernetes.UserInfo', {
  username: STRING,
  uid: STRING,
  groups: strings,
  extra: mapOf(STRING, strings),
})
const REQUEST = fieldsOf('kubernetes.AdmissionRequest', {
  kind: groupVersionKind,
  resource: groupVersionResource,
  subResource: STRING,
  requestKind: groupVersionKind,
  requestResource: groupVersionResource,
  requestSubResource: STRING,
  name: STRING,
  namespace: STRING,
  operation: STRING,
  userInfo,
  dryRun: BOOL,
  options: DYN,
})

/** What every expression may use. */
export const REQUEST_VARIABLES: ReadonlyMap<string, Type> = new Map([
  ['object', DYN],
  ['oldObject', DYN],
  ['request', REQUEST],
])

function fieldsOf(name: string, fields: Readonly<Record<string, Type>>): Type {
  return structOf(name, (field) => (Object.hasOwn(fields, field) ? fields[field] : undefined))
}

export type Values = Map<string, Value | EvaluationError>

/** @param attributes of `admissionAttributes` */
export function requestValues(attributes: Readonly<Record<string, unknown>>): Values {
  const { object, oldObject, ...request } = attributes
  const { name = '', namespace = '', subResource = '', requestSubResource = '' } = request
  const complete = { ...request, name, namespace, subResource, requestSubResource }
  return new Map<string, Value>([
    ['object', toDynamic(object)],
    ['oldObject', toDynamic(oldObject)],
    ['request', toDynamic(complete)],
  ])
}

const compiled = new Map<string, Expression | CompileError>()
const MOST_COMPILED = 1000

/** Of a condition: compiled once, whoever has it. */
function compileCondition(source: string, variables: ReadonlyMap<string, Type>): Expression | CompileError {
  const key = `${[...variables.keys()].join()} ${source}`
  let known = compiled.get(key)
  if (!known) {
    known = compileExpression(source, variables)
    if (compiled.size >= MOST_COMPILED) compiled.clear()
    compiled.set(key, known)
  }
  return known
}

/** False by the first condition that is; where none is, the failures of those that could not be evaluated. */
export function matchConditions(
  conditions: readonly MatchCondition[],
  values: Values,
  variables: ReadonlyMap<string, Type> = REQUEST_VARIABLES,
): { matches: boolean; errors: readonly string[] } {
  const errors: string[] = []
  for (const { expression } of conditions) {
    const program = compileCondition(expression, variables)
    const outcome: Outcome | CompileError = 'error' in program ? program : program.run(values)
    if ('error' in outcome) errors.push(`expression '${expression}' resulted in error: ${outcome.error}`)
    else if (outcome.value !== true) return { matches: false, errors: [] }
  }
  return { matches: errors.length === 0, errors }
}
