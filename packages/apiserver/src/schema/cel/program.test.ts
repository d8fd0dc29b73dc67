import { describe, expect, it } from 'vitest'
import { nodeOf } from '../node.ts'
import type { Schema } from '../schema.ts'
import { COMPILE_ERRORS } from './compile-error-fixtures.ts'
import { OBJECT, OLD_OBJECT, SCHEMA } from './object-fixture.ts'
import { OUTCOMES } from './outcome-fixtures.ts'
import { CALL_LIMIT, compile, compileExpression, type Outcome, type Program } from './program.ts'
import { type Declaration, declarationOf } from './schema-types.ts'
import { toValue } from './schema-values.ts'
import { Optional } from './values.ts'

function selfOf(schema: Schema): Declaration {
  return declarationOf(nodeOf(schema), false, 'self') as Declaration
}

function compiled(rule: string, schema: Schema, optionalOldSelf = false): Program {
  const program = compile(rule, { self: selfOf(schema), optionalOldSelf })
  if ('error' in program) throw new Error(program.error)
  return program
}

function run(rule: string, schema: Schema, value: unknown, limit = CALL_LIMIT): Outcome {
  return compiled(rule, schema).run({ self: toValue(value, nodeOf(schema)) }, limit)
}

describe('rules over an object with every kind of field', () => {
  it.each(OUTCOMES)('%s', (rule, expected, estimate) => {
    const optional = /oldSelf\.(hasValue|optMap)/.test(rule)
    const program = compiled(rule, SCHEMA, optional)
    const old = toValue(OLD_OBJECT, nodeOf(SCHEMA))
    const outcome = program.run({
      self: toValue(OBJECT, nodeOf(SCHEMA)),
      ...(program.usesOldSelf && { oldSelf: optional ? new Optional(old) : old }),
    })
    expect('error' in outcome ? outcome.error : outcome.value).toBe(expected)
    expect(program.estimate()).toBe(estimate)
  })
})

describe('rules that do not compile', () => {
  it.each(COMPILE_ERRORS)('%s', (rule, expected) => {
    const program = compile(rule, { self: selfOf(SCHEMA) })
    const said =
      'error' in program ? program.error.replace(/^instantiation/, 'program instantiation') : program.type.text
    if (expected.startsWith('cel expression')) expect(said).not.toBe('bool')
    else expect(said.replace(/\n \| .*/g, '')).toBe(expected)
  })

  it('shows the place', () => {
    const program = compile('self.i ==\n  self.zz', { self: selfOf(SCHEMA) })
    expect(program).toEqual({
      error: "compilation failed: ERROR: <input>:2:7: undefined field 'zz'\n |   self.zz\n | ......^",
    })
  })

  it.each(['self.i ==', 'self.', '(1', '"a', 'self.i = 1', 'a b', '', '{', '[1,', 'self.li.all(x)', "'\\q' == 'q'"])(
    'syntax: %s',
    (rule) => {
      const program = compile(rule, { self: selfOf(SCHEMA) })
      expect('error' in program && program.error).toMatch(/^compilation failed: ERROR: <input>:\d+:\d+: /)
    },
  )
})

describe('hostile expressions', () => {
  it.each([
    ['parentheses', `${'('.repeat(100_000)}true${')'.repeat(100_000)}`],
    ['parentheses within the size', `${'('.repeat(40_000)}true${')'.repeat(40_000)}`],
    ['lists', `${'['.repeat(40_000)}1${']'.repeat(40_000)} == 1`],
    ['negations', `${'!'.repeat(90_000)}true`],
    ['alternatives', `${'true?'.repeat(9_000)}true${':true'.repeat(9_000)}`],
    ['conjunctions', `${'true && '.repeat(11_000)}true`],
    ['sums', `${'1 + '.repeat(24_000)}1 == 1`],
    ['selections', `self${'.o'.repeat(49_000)}`],
    ['calls', `${'size('.repeat(19_000)}""${')'.repeat(19_000)} == 0`],
    ['macros', `${'[1].all(x,'.repeat(8_000)}true${')'.repeat(8_000)}`],
    ['a long text', `"${'a'.repeat(200_000)}" == ""`],
    ['a long number', `${'9'.repeat(90_000)} == 1`],
  ])('nesting without end is an error, and soon: %s', (_name, rule) => {
    const started = performance.now()
    const program = compile(rule, { self: selfOf(SCHEMA) })
    expect(performance.now() - started).toBeLessThan(3_000)
    if (!('error' in program)) program.run({ self: toValue(OBJECT, nodeOf(SCHEMA)) })
    else expect(program.error).toMatch(/^compilation failed: ERROR/)
  })

  it.each<[name: string, rule: (depth: number) => string]>([
    ['conjunctions', (depth) => `${'true && '.repeat(depth)}true`],
    ['alternatives', (depth) => `${'true || '.repeat(depth)}true`],
    ['sums', (depth) => `${'1 + '.repeat(depth)}1 > 0`],
    ['choices', (depth) => `${'true ? true : '.repeat(depth)}true`],
    ['negations', (depth) => `${'!'.repeat(depth)}true || true`],
    ['parentheses', (depth) => `${'!('.repeat(depth)}true${')'.repeat(depth)} || true`],
    ['lists', (depth) => `${'['.repeat(depth)}1${']'.repeat(depth)} != []`],
    ['selections', (depth) => `dyn(self)${'.o'.repeat(depth)} == 1`],
    ['macros', (depth) => `${'[1].all(x, '.repeat(depth)}true${')'.repeat(depth)}`],
    ['calls', (depth) => `${'string('.repeat(depth)}"a"${')'.repeat(depth)} == "a"`],
    ['methods', (depth) => `"a"${'.trim()'.repeat(depth)} == "a"`],
  ])('as deep as they may be, and a little deeper, are compiled and priced, or refused: %s', (_name, rule) => {
    for (const depth of [50, 100, 200, 240, 249, 250, 400, 480, 499, 500, 501, 600, 1000, 1500, 2000, 3000, 5000]) {
      const program = compile(rule(depth), { self: selfOf(SCHEMA) })
      if ('error' in program) expect(program.error).toMatch(/^compilation failed: ERROR/)
      else {
        program.estimate()
        program.run({ self: toValue(OBJECT, nodeOf(SCHEMA)) })
      }
      compileExpression(rule(depth), new Map())
    }
  })

  it('however many conditions one rule joins', () => {
    for (const operator of ['&&', '||'])
      expect(run(Array.from({ length: 9_000 }, () => 'self.b').join(` ${operator} `), SCHEMA, OBJECT)).toMatchObject({
        value: true,
      })
  })

  it.each(['constructor', '__proto__', 'toString', 'hasOwnProperty', '__proto'])(
    'no field is inherited: %s',
    (name) => {
      const program = compile(`has(self.${name})`, { self: selfOf(SCHEMA) })
      expect('error' in program && program.error).toContain(`undefined field '${name}'`)
      for (const rule of [`"${name}" in self.m`, `has(self.m.${name})`, `dyn(self.o).?${name}.hasValue()`]) {
        expect(run(rule, SCHEMA, OBJECT)).toMatchObject({ value: false })
      }
      const called = compile(`${name}(self)`, { self: selfOf(SCHEMA) })
      expect('error' in called && called.error).toMatch(/undeclared reference|reserved identifier/)
    },
  )

  it('reads members that are named like those of Object', () => {
    const schema: Schema = { type: 'object', additionalProperties: { type: 'string' } }
    const value = JSON.parse('{"__proto__": "a", "constructor": "b"}')
    expect(run('self["__proto__"] == "a" && self.constructor == "b" && self.size() == 2', schema, value)).toMatchObject(
      {
        value: true,
      },
    )
  })
})

const LARGE: Schema = {
  type: 'object',
  properties: {
    numbers: { type: 'array', items: { type: 'integer' } },
    texts: { type: 'array', items: { type: 'string' } },
    text: { type: 'string' },
    digits: { type: 'string' },
    emoji: { type: 'string' },
    map: { type: 'object', additionalProperties: { type: 'string' } },
    set: { type: 'array', items: { type: 'string' }, 'x-kubernetes-list-type': 'set' },
    any: { type: 'object', 'x-kubernetes-preserve-unknown-fields': true },
    patterns: { type: 'array', items: { type: 'string' } },
    objects: { type: 'array', items: { type: 'object', properties: { a: { type: 'string' } } } },
  },
}

const COUNT = 30_000
const numbers = Array.from({ length: COUNT }, (_, index) => index)
const LARGE_OBJECT = {
  numbers,
  texts: numbers.map((index) => `item${index}`),
  text: 'a'.repeat(500_000),
  digits: '9'.repeat(500_000),
  emoji: `${'a'.repeat(500_000)}😀`,
  map: Object.fromEntries(numbers.map((index) => [`k${index}`, 'v'])),
  set: numbers.map((index) => `s${index}`),
  any: { list: numbers.map((index) => ({ index })) },
  patterns: numbers.slice(0, 3_000).map((index) => `((a{${1 + (index % 9)}}){9}){9}b${index}`),
  objects: numbers.slice(0, 3_000).map((index) => ({ a: 'x'.repeat(300) + index })),
}

describe('rules that run away', () => {
  // Kubernetes' own prices stop the first ones; the others do much for little by those.
  // A tenth of what one may cost is enough to see it.
  const limit = CALL_LIMIT / 10

  it.each([
    'self.numbers.all(x, self.numbers.all(y, self.numbers.all(z, x + y + z >= 0)))',
    'self.numbers.map(x, self.numbers.map(y, [x, y])).size() > 0',
    'self.texts.map(x, self.text + x).size() > 0',
    'self.numbers.map(w, self.numbers + self.numbers).size() > 0',
    'self.text.replace("", self.text).size() > 0',
    'self.texts.map(x, self.text.replace("a", x)).size() > 0',
    'self.numbers.all(x, self.map.exists(k, true))',
    'self.numbers.all(x, self.set == self.set + [])',
    'self.numbers.all(x, self.any == dyn(self.any))',
    'self.objects.all(x, self.objects.all(y, x == y || x != y))',
    'self.objects.all(x, self.objects == self.objects + [])',
    'self.numbers.all(x, self.text.matches("(a|aa)+$"))',
    'self.patterns.all(p, !"aaaa".matches(p))',
    'self.numbers.all(x, self.text.findAll("a.*b|a").size() > 0)',
    'self.numbers.all(x, quantity(self.digits).isGreaterThan(quantity("1")))',
    'self.numbers.all(x, self.emoji.charAt(3) == "a")',
    'self.numbers.all(x, self.emoji.indexOf("b", 5) < 0)',
    'self.numbers.all(x, "%s".format([self.numbers]).size() > 0)',
    'self.texts.all(x, self.texts.exists(y, int(y) == 1))',
    'self.numbers.all(x, self.text.split("").size() > 0)',
    'self.numbers.all(x, self.numbers.isSorted())',
  ])('stops within seconds, with little memory: %s', (rule) => {
    const memory = process.memoryUsage().heapUsed
    const started = performance.now()
    const outcome = run(rule, LARGE, LARGE_OBJECT, limit)
    // Measured: a tenth of a second for nearly all.
    expect(performance.now() - started).toBeLessThan(3_000)
    expect(process.memoryUsage().heapUsed - memory).toBeLessThan(500_000_000)
    expect(outcome.cost).toBeGreaterThan(50)
    if ('error' in outcome) {
      expect(outcome).toMatchObject({ error: 'operation cancelled: actual cost limit exceeded', overLimit: true })
    }
  })

  it('stops at the limit that it is given, whatever absorbs errors around it', () => {
    const rule = 'self.numbers.all(x, x >= 0) || true'
    expect(run(rule, LARGE, LARGE_OBJECT, 1_000)).toMatchObject({ overLimit: true })
    expect(run(rule, LARGE, LARGE_OBJECT)).toMatchObject({ value: true })
  })

  it('refuses matches that take too long', () => {
    const outcome = run(`self.text.matches("(a{1,300}b){1,3}")`, LARGE, LARGE_OBJECT)
    expect(outcome).toMatchObject({ error: expect.stringMatching(/would take too long|cost limit exceeded/) })
  })
})
