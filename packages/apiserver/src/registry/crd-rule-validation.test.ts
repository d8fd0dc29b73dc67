import type { ValidationRule } from '@caisson/api'
import { describe, expect, it } from 'vitest'
import type { Schema } from '../schema/schema.ts'
import { validateCrdSchema } from './crd-schema-validation.ts'

const AT = 'openAPIV3Schema'

function errors(spec: Schema, root: Schema = {}): string[] {
  const schema: Schema = { type: 'object', properties: { spec }, ...root }
  return validateCrdSchema(schema, 'v', false).map(
    ({ type, field, message }) => `${type} ${field.replace('v.', '')}: ${message}`,
  )
}

function ruled(schema: Schema, ...rules: ValidationRule[]): Schema {
  return { ...schema, 'x-kubernetes-validations': rules }
}

const NUMBERS: Schema = { type: 'array', items: { type: 'integer' } }
const OBJECT: Schema = { type: 'object', properties: { n: { type: 'integer' }, l: NUMBERS } }

describe('rules of a CustomResourceDefinition', () => {
  const at = `${AT}.properties[spec].x-kubernetes-validations[0]`

  it('compile, return a boolean, and see the fields of the schema', () => {
    expect(errors(ruled(OBJECT, { rule: 'self.n > 1', messageExpression: 'string(self.n)' }))).toEqual([])
    const whole =
      '{"Rule":"self.z","Message":"","MessageExpression":"","Reason":null,"FieldPath":"","OptionalOldSelf":null}'
    expect(errors(ruled(OBJECT, { rule: 'self.z' }))).toEqual([
      `FieldValueInvalid ${at}.rule: Invalid value: ${whole}: compilation failed: ERROR: <input>:1:5: undefined field 'z'\n | self.z\n | ....^`,
    ])
  })

  it.each<[ValidationRule, string, string]>([
    [{ rule: 'self.n >' }, 'rule', 'compilation failed: ERROR: <input>:1:9: Syntax error'],
    [{ rule: 'self.n' }, 'rule', 'cel expression must evaluate to a bool'],
    [{ rule: 'int("x") == 1' }, 'rule', "program instantiation failed: type conversion error from 'string' to 'int'"],
    [{ rule: 'self.l.all(x, matches("a", "[b"))' }, 'rule', 'invalid matches argument'],
    [{ rule: 'true', messageExpression: '1' }, 'messageExpression', 'messageExpression must evaluate to a string'],
    [{ rule: 'true', messageExpression: 'self.z' }, 'messageExpression', 'messageExpression compilation failed: '],
    [{ rule: ' ' }, 'rule', 'rule is not specified'],
    [{ rule: 'a\nb' }, 'message', 'message must be specified if rule contains line breaks'],
    [{ rule: 'true', fieldPath: '.z' }, 'fieldPath', 'must be a valid path'],
    [{ rule: 'true', optionalOldSelf: true }, 'optionalOldSelf', 'may not be set if oldSelf is not used in rule'],
    [{ rule: 'true', reason: 'Why' as never }, 'reason', 'Unsupported value: "Why"'],
  ])('%j', (rule, field, message) => {
    const found = errors(ruled(OBJECT, rule))
    expect(found).toHaveLength(1)
    expect(found[0]).toContain(`${at}.${field}: `)
    expect(found[0]).toContain(message)
  })

  it('may compare with what was, except where there is no telling what that is', () => {
    const rule = { rule: 'self == oldSelf' }
    const item = ruled({ type: 'object', properties: { k: { type: 'string' } }, required: ['k'] }, rule)
    const list: Schema = { type: 'array', items: item, maxItems: 5 }
    const keyed: Schema = { ...list, 'x-kubernetes-list-type': 'map', 'x-kubernetes-list-map-keys': ['k'] }
    expect(errors(keyed)).toEqual([])
    expect(errors({ type: 'object', additionalProperties: item, maxProperties: 5 })).toEqual([])
    expect(errors(list)).toEqual([
      expect.stringContaining(
        `oldSelf cannot be used on the uncorrelatable portion of the schema within v.${AT}.properties[spec]`,
      ),
    ])
  })

  it('are refused where they can cost too much', () => {
    const hint =
      '(try simplifying the rule, or adding maxItems, maxProperties, and maxLength where arrays, maps, and strings are declared)'
    const nested = { rule: 'self.all(x, self.all(y, x <= y || y <= x))' }
    expect(errors(ruled(NUMBERS, nested))).toEqual([
      `FieldValueForbidden ${at}.rule: Forbidden: estimated rule cost exceeds budget by factor of more than 100x ${hint}`,
      `FieldValueForbidden ${at}.rule: Forbidden: contributed to estimated rule cost total exceeding cost limit for entire OpenAPIv3 schema`,
      `FieldValueForbidden ${AT}: Forbidden: x-kubernetes-validations estimated rule cost total for entire OpenAPIv3 schema exceeds budget by factor of more than 100x ${hint}`,
    ])
    expect(errors(ruled({ ...NUMBERS, maxItems: 100 }, nested))).toEqual([])
    expect(errors({ type: 'array', maxItems: 1_000, items: ruled({ ...NUMBERS, maxItems: 100 }, nested) })).toEqual([
      expect.stringContaining('estimated rule cost exceeds budget by factor of 9.1x'),
    ])
  })

  it('are not looked at where the schema around them is wrong', () => {
    const wrong: Schema = { type: 'object', properties: { a: { type: 'string', uniqueItems: true } } }
    expect(errors(ruled(wrong, { rule: 'self.z' })).join('\n')).not.toContain('compilation')
  })

  it('see type and names at the root', () => {
    const rule = { rule: 'self.metadata.name.startsWith("a") && self.kind != ""' }
    expect(errors(OBJECT, { 'x-kubernetes-validations': [rule] })).toEqual([])
    expect(errors(OBJECT, { 'x-kubernetes-validations': [{ rule: 'self.metadata.labels.size() > 0' }] })).toEqual([
      expect.stringContaining("undefined field 'labels'"),
    ])
  })

  it('hold for defaults', () => {
    const schema: Schema = { type: 'integer', default: 1, 'x-kubernetes-validations': [{ rule: 'self > 1' }] }
    expect(errors(schema)).toEqual([
      `FieldValueInvalid ${AT}.properties[spec].default: Invalid value: "integer": failed rule: self > 1`,
    ])
  })
})
