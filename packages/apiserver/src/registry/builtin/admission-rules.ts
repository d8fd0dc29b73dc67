/** What configurations of webhooks and admission policies have in common: rules, selectors and CEL conditions. */

import type { MatchCondition } from '../../admission/match-conditions.ts'
import type { Rule } from '../../admission/match-rules.ts'
import { compileExpression } from '../../schema/cel/program.ts'
import type { Type } from '../../schema/cel/types.ts'
import type { FieldError } from '../../status-error.ts'
import { duplicate, invalidValue, notSupported, required, tooMany } from '../field-error.ts'
import { qualifiedName } from '../names.ts'

const OPERATIONS = ['*', 'CONNECT', 'CREATE', 'DELETE', 'UPDATE']
const SCOPES = ['*', 'Cluster', 'Namespaced']
export const FAILURE_POLICIES = ['Fail', 'Ignore']
export const MATCH_POLICIES = ['Equivalent', 'Exact']

export function validateRule(rule: Rule, path: string, errors: FieldError[]): void {
  const operations = rule.operations ?? []
  if (operations.length === 0) errors.push(required(`${path}.operations`))
  if (operations.length > 1 && operations.includes('*'))
    errors.push(invalidValue(`${path}.operations`, operations, "if '*' is present, must not specify other operations"))
  operations.forEach((operation, index) => {
    if (!OPERATIONS.includes(operation))
      errors.push(notSupported(`${path}.operations[${index}]`, operation, OPERATIONS))
  })
  validateNames(rule.apiGroups ?? [], `${path}.apiGroups`, 'API groups', errors)
  const versions = rule.apiVersions ?? []
  validateNames(versions, `${path}.apiVersions`, 'API versions', errors)
  versions.forEach((version, index) => {
    if (version === '') errors.push(required(`${path}.apiVersions[${index}]`))
  })
  validateResources(rule.resources ?? [], `${path}.resources`, errors)
  if (rule.scope !== undefined && !SCOPES.includes(rule.scope))
    errors.push(notSupported(`${path}.scope`, rule.scope, SCOPES))
}

function validateNames(names: readonly string[], path: string, what: string, errors: FieldError[]): void {
  if (names.length === 0) errors.push(required(path))
  if (names.length > 1 && names.includes('*'))
    errors.push(invalidValue(path, names, `if '*' is present, must not specify other ${what}`))
}

function validateResources(resources: readonly string[], path: string, errors: FieldError[]): void {
  if (resources.length === 0) errors.push(required(path))
  const anySubresourceOf = new Set<string>()
  const onAnyResource = new Set<string>()
  let plain = false
  resources.forEach((text, index) => {
    const at = `${path}[${index}]`
    if (text === '') {
      errors.push(required(at))
      return
    }
    const slash = text.indexOf('/')
    if (slash < 0) {
      plain = text !== '*'
      return
    }
    const [resource, subresource] = [text.slice(0, slash), text.slice(slash + 1)]
    const refuse = (present: string): void =>
      void errors.push(invalidValue(at, text, `if '${present}' is present, must not specify ${text}`))
    if (anySubresourceOf.has(resource)) refuse(`${resource}/*`)
    if (onAnyResource.has(subresource)) refuse(`*/${subresource}`)
    if (subresource === '*') anySubresourceOf.add(resource)
    if (resource === '*') onAnyResource.add(subresource)
  })
  if (resources.length > 1 && resources.includes('*/*'))
    errors.push(invalidValue(path, resources, "if '*/*' is present, must not specify other resources"))
  if (resources.includes('*') && plain) {
    const said = "if '*' is present, must not specify other resources without subresources"
    errors.push(invalidValue(path, resources, said))
  }
}

const MOST_CONDITIONS = 64

export function validateConditions(
  conditions: readonly MatchCondition[],
  variables: ReadonlyMap<string, Type>,
  path: string,
  errors: FieldError[],
): void {
  if (conditions.length > MOST_CONDITIONS) errors.push(tooMany(path, conditions.length, MOST_CONDITIONS))
  const names = new Set<string>()
  conditions.slice(0, MOST_CONDITIONS).forEach(({ name, expression }, index) => {
    const at = `${path}[${index}]`
    if (expression.trim() === '') errors.push(required(`${at}.expression`))
    else validateExpression(expression.trim(), { variables, kinds: ['bool'] }, `${at}.expression`, errors)
    if (name === '') errors.push(required(`${at}.name`))
    else for (const said of qualifiedName(name)) errors.push(invalidValue(`${at}.name`, name, said))
    if (name !== '' && names.has(name)) errors.push(duplicate(`${at}.name`, name))
    names.add(name)
  })
}

/** Compiles it, and asks for one of the types given; returns the type where there is one. */
export function validateExpression(
  source: string,
  { variables, kinds }: { variables: ReadonlyMap<string, Type>; kinds: readonly string[] | undefined },
  path: string,
  errors: FieldError[],
): Type | undefined {
  const compiled = compileExpression(source, variables)
  if ('error' in compiled) {
    errors.push(invalidValue(path, source, compiled.error))
    return undefined
  }
  const { type } = compiled
  if (kinds && !kinds.includes(type.kind)) {
    const wanted =
      kinds.length === 1
        ? `must evaluate to ${kinds[0]}`
        : `must evaluate to one of [${kinds.map((kind) => (kind === 'null' ? 'null_type' : kind)).join(' ')}]`
    errors.push(invalidValue(path, source, `${wanted} but got ${type.text}`))
  }
  return type
}
