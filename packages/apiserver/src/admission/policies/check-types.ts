/** What can be told of a policy's expressions before any request: where they do not fit the types of what they judge. */
import { groupVersion, type Registry } from '../../registry/registry.ts'
import type { Resource } from '../../registry/resource.ts'
import { compileExpression } from '../../schema/cel/program.ts'
import { declarationOf } from '../../schema/cel/schema-types.ts'
import type { Type } from '../../schema/cel/types.ts'
import { nodeOf } from '../../schema/node.ts'
import { type Policy, policyVariables, withVariables } from './policy.ts'

export interface ExpressionWarning {
  fieldRef: string
  warning: string
}

const MOST_TYPES = 10

/** Of validations and their messages. Kinds that a rule names with a wildcard are not looked at. */
export function checkTypes(policy: Policy, registry: Pick<Registry, 'all'>): ExpressionWarning[] {
  const kinds = kindsOf(policy, registry)
  const { paramKind, validations } = policy.spec
  const params =
    paramKind &&
    registry.all().find((each) => each.kind === paramKind.kind && groupVersion(each) === paramKind.apiVersion)
  const scopes = kinds.map((kind) => {
    const base = policyVariables(policy.spec, typeOf(kind), params ? typeOf(params) : undefined)
    return { kind, scope: withVariables(policy.spec, base) }
  })
  const check = (source: string): string => {
    const said = scopes.flatMap(({ kind, scope }) => {
      const compiled = compileExpression(source, scope)
      if (!('error' in compiled)) return []
      return [
        `${kind.group}/${kind.version}, Kind=${kind.kind}: ${compiled.error.replace(/^compilation failed: /, '')}\n`,
      ]
    })
    return said.join('\n')
  }
  return (validations ?? []).flatMap(({ expression, messageExpression }, index) =>
    Object.entries({ expression, messageExpression }).flatMap(([field, source]) => {
      const warning = source ? check(source) : ''
      return warning === '' ? [] : [{ fieldRef: `spec.validations[${index}].${field}`, warning }]
    }),
  )
}

const types = new WeakMap<Resource, Type | undefined>()

function typeOf(kind: Resource): Type | undefined {
  if (!types.has(kind)) types.set(kind, declarationOf(nodeOf(kind.schema), true, kind.kind)?.type)
  return types.get(kind)
}

function kindsOf({ spec }: Policy, registry: Pick<Registry, 'all'>): Resource[] {
  const found = new Set<Resource>()
  for (const { apiGroups, apiVersions, resources } of spec.matchConstraints?.resourceRules ?? []) {
    const named = (list: readonly string[] | null | undefined): readonly string[] =>
      (list ?? []).includes('*') ? [] : (list ?? [])
    for (const kind of registry.all()) {
      const isNamed =
        named(apiGroups).includes(kind.group) &&
        named(apiVersions).includes(kind.version) &&
        named(resources).includes(kind.plural)
      if (isNamed && found.size < MOST_TYPES) found.add(kind)
    }
  }
  const key = ({ group, version, kind }: Resource): string => `${group}/${version}/${kind}`
  return [...found].sort((a, b) => (key(a) < key(b) ? -1 : 1))
}
