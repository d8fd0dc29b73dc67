/** The parts of a schema that have CEL rules at or below them, with the rules compiled when a value first reaches them. */
import type { ValidationRule } from '@caisson/api'
import { compile, type Program } from './cel/program.ts'
import { type Declaration, declarationOf, withObjectMeta } from './cel/schema-types.ts'
import { nodeOf, type SchemaNode } from './node.ts'
import type { Schema } from './schema.ts'

export interface RuleNode {
  readonly node: SchemaNode
  /** Whether `self` has type and metadata, whatever the schema says. */
  readonly isResource: boolean
  readonly rules: readonly CompiledRule[]
  /** Whether a rule here or below may be about the change of a value. */
  readonly readsOldSelf: boolean
  readonly items: RuleNode | undefined
  readonly additional: RuleNode | undefined
  property(key: string): RuleNode | undefined
}

export interface CompiledRule {
  readonly rule: ValidationRule
  readonly program: Program | undefined
  readonly error: string | undefined
  /** Of `messageExpression`. */
  readonly messageProgram: Program | undefined
  readonly messageError: string | undefined
}

export function compileRule(rule: ValidationRule, self: Declaration): CompiledRule {
  const none = { rule, program: undefined, error: undefined, messageProgram: undefined, messageError: undefined }
  if (rule.rule.trim() === '') return none
  const options = { self, optionalOldSelf: rule.optionalOldSelf === true }
  const program = compile(rule.rule, options)
  if ('error' in program) return { ...none, error: program.error.replace(/^instantiation/, 'program instantiation') }
  if (program.type.kind !== 'bool') return { ...none, error: 'cel expression must evaluate to a bool' }
  if (!rule.messageExpression) return { ...none, program }
  const messageProgram = compile(rule.messageExpression, options)
  if ('error' in messageProgram) return { ...none, program, messageError: `messageExpression ${messageProgram.error}` }
  if (messageProgram.type.kind !== 'string') {
    return { ...none, program, messageError: 'messageExpression must evaluate to a string' }
  }
  return { ...none, program, messageProgram }
}

const trees = new WeakMap<Schema, { resource?: RuleNode | undefined; value?: RuleNode | undefined }>()

/** Undefined where there are no rules. */
export function ruleTree(schema: Schema, isResource: boolean): RuleNode | undefined {
  let tree = trees.get(schema)
  if (!tree) {
    tree = {}
    trees.set(schema, tree)
  }
  const which = isResource ? 'resource' : 'value'
  if (!(which in tree)) {
    tree[which] = hasRules(schema)
      ? ruleNode(
          schema,
          isResource,
          lazy(() => selfOf(schema, isResource)),
        )
      : undefined
  }
  return tree[which]
}

const hasRules = anyRule(() => true)
const hasTransitionRules = anyRule((rule) => JSON.stringify(rule).includes('oldSelf'))

/**
 * Whether a rule at or below a schema is such a one. Kubernetes knows no rules in alternatives, and built-in types, which
 * `$ref` names, have none.
 */
function anyRule(isOne: (rule: ValidationRule) => boolean): (schema: Schema) => boolean {
  const found = new WeakMap<Schema, boolean>()
  return function has(schema): boolean {
    let known = found.get(schema)
    if (known === undefined) {
      // A schema may refer to itself.
      found.set(schema, false)
      const { items, additionalProperties, properties } = schema
      known =
        (schema['x-kubernetes-validations']?.some(isOne) ?? false) ||
        (items !== undefined && has(items)) ||
        (typeof additionalProperties === 'object' && has(additionalProperties)) ||
        (properties !== undefined && Object.values(properties).some(has))
      found.set(schema, known)
    }
    return known
  }
}

type Lazy<T> = () => T

function lazy<T>(make: () => T): Lazy<T> {
  let made: { value: T } | undefined
  return () => {
    made ??= { value: make() }
    return made.value
  }
}

function isEmbedded(schema: Schema): boolean {
  return schema['x-kubernetes-embedded-resource'] === true
}

/** What `self` is for the rules of a part of a schema; undefined for what rules cannot see, such as untyped fields. */
export function selfOf(schema: Schema, isResource = isEmbedded(schema)): Declaration | undefined {
  return declarationOf(nodeOf(schema), isResource, 'self')
}

/** The same for a property of a schema: metadata of resources have a type of their own. */
export function selfOfProperty(of: Schema, isResource: boolean, key: string): Declaration | undefined {
  const { properties = {} } = isResource ? withObjectMeta(of) : of
  return selfOf(properties[key] as Schema)
}

function childNode(
  schema: Schema | undefined,
  self: (schema: Schema) => Declaration | undefined,
): RuleNode | undefined {
  if (!schema || !hasRules(schema)) return undefined
  const declaration = lazy(() => self(schema))
  return declaration() && ruleNode(schema, isEmbedded(schema), declaration)
}

function ruleNode(schema: Schema, isResource: boolean, self: Lazy<Declaration | undefined>): RuleNode {
  const { properties = {}, additionalProperties } = schema
  const children = new Map<string, RuleNode | undefined>()
  const rules = lazy(() => {
    const declaration = self()
    return declaration ? (schema['x-kubernetes-validations'] ?? []).map((rule) => compileRule(rule, declaration)) : []
  })
  const items = lazy(() => childNode(schema.items, selfOf))
  const additional = lazy(() =>
    childNode(typeof additionalProperties === 'object' ? additionalProperties : undefined, selfOf),
  )
  return {
    node: nodeOf(schema),
    isResource,
    get rules() {
      return rules()
    },
    get readsOldSelf() {
      return hasTransitionRules(schema)
    },
    get items() {
      return items()
    },
    get additional() {
      return additional()
    },
    property(key) {
      if (!Object.hasOwn(properties, key)) return undefined
      if (!children.has(key)) {
        const child = childNode(properties[key], () => selfOfProperty(schema, isResource, key))
        children.set(key, child)
      }
      return children.get(key)
    },
  }
}
