/** What one policy, with one parameter, says of one request. */
import type { KubeObject } from '@caisson/api'
import { LazyMap, toDynamic } from '../../schema/cel/dynamic-values.ts'
import type { CompileError, Expression, Outcome } from '../../schema/cel/program.ts'
import { EvaluationError, type Value } from '../../schema/cel/values.ts'
import { matchConditions, type Values } from '../match-conditions.ts'
import { compilePolicy, type Policy, policyVariables } from './policy.ts'

/** The request is not as the policy wants it, or that could not be found out. */
export interface Denial {
  message: string
  /** `Invalid` unless the policy says otherwise; undefined where it could not be evaluated. */
  reason: string | undefined
}

/** For all expressions of one policy: about a second in Kubernetes. */
const BUDGET = 10_000_000
const LONGEST_MESSAGE = 5 * 1024

export interface PolicyInput {
  /** Of `requestValues`. */
  values: Values
  params: KubeObject | undefined
  namespace: KubeObject | undefined
}

export function evaluatePolicy(policy: Policy, { values: given, params, namespace }: PolicyInput): Denial[] {
  const { spec } = policy
  const { variables, validations, audits } = compilePolicy(policy)
  const values = new Map(given)
  values.set('namespaceObject', toDynamic(namespace && shownNamespace(namespace)))
  if (spec.paramKind) values.set('params', toDynamic(params))
  const mayFail = spec.failurePolicy === 'Ignore'
  const conditions = matchConditions(spec.matchConditions ?? [], values, policyVariables(spec))
  if (conditions.errors.length > 0) return mayFail ? [] : [{ message: conditions.errors.join(', '), reason: undefined }]
  if (!conditions.matches) return []

  let budget = BUDGET
  const run = (expression: Expression | CompileError): Outcome | CompileError => {
    if ('error' in expression) return expression
    if (budget <= 0) return { error: OUT_OF_BUDGET }
    const outcome = expression.run(values, Math.min(budget, BUDGET))
    budget -= outcome.cost
    return outcome
  }
  if (variables.length > 0) values.set('variables', lazyVariables(variables, run))

  const denials: Denial[] = []
  for (const { validation, expression, message } of validations) {
    const outcome = run(expression)
    if ('error' in outcome) {
      const said = `expression '${validation.expression.trim()}' resulted in error: ${outcome.error}`
      if (!mayFail) denials.push({ message: said, reason: undefined })
    } else if (outcome.value !== true) {
      const own = message && run(message)
      const text = own && 'value' in own && typeof own.value === 'string' ? usable(own.value) : ''
      denials.push({
        message: text || validation.message?.trim() || `failed expression: ${validation.expression.trim()}`,
        reason: validation.reason ?? 'Invalid',
      })
    }
  }
  for (const { source, expression } of audits) {
    const outcome = run(expression)
    if (!('error' in outcome) || mayFail) continue
    denials.push({ message: `expression '${source}' resulted in error: ${outcome.error}`, reason: undefined })
  }
  return denials
}

const OUT_OF_BUDGET = 'validation failed due to running out of cost budget, no further validation rules will be run'

function lazyVariables(
  variables: ReadonlyArray<{ name: string; expression: Expression | CompileError }>,
  run: (expression: Expression | CompileError) => Outcome | CompileError,
): LazyMap {
  return new LazyMap(
    new Map(
      variables.map(({ name, expression }) => [
        name,
        (): Value => {
          const outcome = run(expression)
          if ('error' in outcome)
            throw new EvaluationError(`composited variable "${name}" fails to evaluate: ${outcome.error}`)
          return outcome.value
        },
      ]),
    ),
  )
}

/** A message of many lines, or of many pages, is none. */
function usable(message: string): string {
  const text = message.trim()
  return text.includes('\n') || Buffer.byteLength(text) > LONGEST_MESSAGE ? '' : text
}

/** Of a namespace policies see what does not change with every request. */
function shownNamespace({ metadata, spec, status }: KubeObject): object {
  const { name, generateName, namespace, labels, annotations, uid, creationTimestamp, deletionTimestamp } = metadata
  const { deletionGracePeriodSeconds, generation, resourceVersion, finalizers } = metadata
  const shown = {
    name,
    generateName,
    namespace,
    labels,
    annotations,
    UID: uid,
    creationTimestamp,
    deletionTimestamp,
    deletionGracePeriodSeconds,
    generation,
    resourceVersion,
    finalizers,
  }
  return { metadata: shown, ...(spec !== undefined && { spec }), ...(status !== undefined && { status }) }
}
