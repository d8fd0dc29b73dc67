/** ValidatingAdmissionPolicies and their bindings, as stored. */
import type { KubeObject, LabelSelector } from '@caisson/api'
import { type CompileError, compileExpression, type Expression } from '../../schema/cel/program.ts'
import { DYN, NULL, structOf, type Type } from '../../schema/cel/types.ts'
import { type MatchCondition, REQUEST_VARIABLES } from '../match-conditions.ts'
import type { Rule } from '../match-rules.ts'

export interface MatchResources {
  resourceRules?: readonly Rule[] | null
  excludeResourceRules?: readonly Rule[] | null
  matchPolicy?: string
  namespaceSelector?: LabelSelector
  objectSelector?: LabelSelector
}

export interface Validation {
  expression: string
  message?: string
  messageExpression?: string
  reason?: string
}

export interface Variable {
  name: string
  expression: string
}

export interface PolicySpec {
  failurePolicy?: string
  paramKind?: { apiVersion: string; kind: string } | null
  matchConstraints?: MatchResources | null
  matchConditions?: readonly MatchCondition[] | null
  variables?: readonly Variable[] | null
  validations?: readonly Validation[] | null
  auditAnnotations?: ReadonlyArray<{ key: string; valueExpression: string }> | null
}

export interface Policy extends KubeObject {
  spec: PolicySpec
  status?: object
}

export interface ParamRef {
  name?: string
  namespace?: string
  selector?: LabelSelector | null
  parameterNotFoundAction?: string
}

export interface PolicyBinding extends KubeObject {
  spec: {
    policyName: string
    paramRef?: ParamRef | null
    matchResources?: MatchResources | null
    validationActions?: readonly string[] | null
  }
}

export interface CompiledVariable {
  name: string
  expression: Expression | CompileError
}

export interface CompiledPolicy {
  variables: readonly CompiledVariable[]
  validations: ReadonlyArray<{
    validation: Validation
    expression: Expression | CompileError
    message: Expression | CompileError | undefined
  }>
  audits: ReadonlyArray<{ key: string; source: string; expression: Expression | CompileError }>
}

/** What expressions of a policy may use, but for `variables`. @param object the type of the objects, where it is known */
export function policyVariables(spec: PolicySpec, object: Type = DYN, params: Type = DYN): Map<string, Type> {
  const variables = new Map(REQUEST_VARIABLES)
  variables.set('object', object).set('oldObject', object)
  variables.set('namespaceObject', DYN)
  if (spec.paramKind) variables.set('params', params)
  return variables
}

/** Variables see the ones before them. Calls `compiled` with each. */
export function withVariables(
  spec: PolicySpec,
  base: ReadonlyMap<string, Type>,
  compiled: (variable: Variable, expression: Expression | CompileError, index: number) => void = () => undefined,
): Map<string, Type> {
  const types = new Map<string, Type>()
  const known = new Map(base)
  if (!spec.variables?.length) return known
  known.set(
    'variables',
    structOf('kubernetes.variables', (name) => types.get(name)),
  )
  spec.variables.forEach((variable, index) => {
    const expression = compileExpression(variable.expression, known)
    types.set(variable.name, 'error' in expression ? DYN : expression.type.kind === 'null' ? NULL : expression.type)
    compiled(variable, expression, index)
  })
  return known
}

const compiledPolicies = new WeakMap<Policy, CompiledPolicy>()

/** Compiled once for each stored state. */
export function compilePolicy(policy: Policy): CompiledPolicy {
  const known = compiledPolicies.get(policy)
  if (known) return known
  const { spec } = policy
  const variables: CompiledVariable[] = []
  const scope = withVariables(spec, policyVariables(spec), ({ name }, expression) =>
    variables.push({ name, expression }),
  )
  const result: CompiledPolicy = {
    variables,
    validations: (spec.validations ?? []).map((validation) => ({
      validation,
      expression: compileExpression(validation.expression, scope),
      message: validation.messageExpression ? compileExpression(validation.messageExpression, scope) : undefined,
    })),
    audits: (spec.auditAnnotations ?? []).map(({ key, valueExpression }) => ({
      key,
      source: valueExpression,
      expression: compileExpression(valueExpression, scope),
    })),
  }
  compiledPolicies.set(policy, result)
  return result
}
