/** Label selectors in the grammar of `k8s.io/apimachinery/pkg/labels`, with its error messages. */
import { labelMatcher } from '@caisson/api'
import { goQuote } from '../registry/field-error.ts'
import { labelValueErrors, qualifiedName } from '../registry/names.ts'

type Operator = '=' | '==' | '!=' | 'in' | 'notin' | '>' | '<' | 'exists' | '!'

export interface LabelRequirement {
  key: string
  operator: Operator
  /** Sorted, without duplicates. */
  values: readonly string[]
}

export type LabelSelector = readonly LabelRequirement[]

interface Token {
  kind: string
  text: string
}

const END = 'end of string'
const IDENTIFIER = 'identifier'
const OPERATORS: ReadonlySet<string> = new Set(['in', '=', '==', '>', '<', 'notin', '!='])
// As Go prints the set of them in an error.
const BINARY_OPERATORS = 'in, notin, =, ==, !=, gt, lt'

/** Throws an Error whose message is apimachinery's; callers put it into their own. */
export function parseLabelSelector(text: string): LabelSelector {
  const tokens = tokenize(text)
  let position = 0
  // Among values, `in` and `notin` are ordinary words.
  const look = () => asValue(tokens[position] as Token)
  const take = () => asValue(tokens[position++] as Token)
  const takeOperator = () => tokens[position++] as Token
  const requirements: LabelRequirement[] = []
  for (;;) {
    const { kind, text: found } = look()
    if (kind === END) return requirements
    if (kind !== IDENTIFIER && kind !== '!')
      throw new Error(`found '${found}', expected: !, identifier, or 'end of string'`)
    try {
      requirements.push(parseRequirement(look, take, takeOperator))
    } catch (error) {
      throw new Error(`unable to parse requirement: ${(error as Error).message}`, { cause: error })
    }
    const next = take()
    if (next.kind === END) return requirements
    if (next.kind !== ',') throw new Error(`found '${next.text}', expected: ',' or 'end of string'`)
    const after = look()
    if (after.kind !== IDENTIFIER && after.kind !== '!')
      throw new Error(`found '${after.text}', expected: identifier after ','`)
  }
}

type Predicate = (labels: Readonly<Record<string, string>> | undefined) => boolean

/** Whether labels match: the selector, which may have ten thousand requirements, is read once for all objects of a list. */
export function labelPredicate(selector: LabelSelector): Predicate {
  const others = labelMatcher({ matchExpressions: selector.flatMap(asExpression) })
  const bounds = boundsOf(selector)
  if (bounds.size === 0) return others
  return (labels = {}) => {
    if (!others(labels)) return false
    for (const [key, { above, below }] of bounds) {
      const value = Object.hasOwn(labels, key) ? labels[key] : undefined
      if (value === undefined || !isInteger(value)) return false
      const number = BigInt(value)
      if ((above !== undefined && number <= above) || (below !== undefined && number >= below)) return false
    }
    return true
  }
}

const EXPRESSIONS: Readonly<Partial<Record<Operator, string>>> = {
  '=': 'In',
  '==': 'In',
  in: 'In',
  '!=': 'NotIn',
  notin: 'NotIn',
  exists: 'Exists',
  '!': 'DoesNotExist',
}

function asExpression({ key, operator, values }: LabelRequirement) {
  const name = EXPRESSIONS[operator]
  return name === undefined ? [] : [{ key, operator: name, values }]
}

/** Of each key the narrowest; both are outside of it. */
function boundsOf(selector: LabelSelector): Map<string, { above?: bigint; below?: bigint }> {
  const bounds = new Map<string, { above?: bigint; below?: bigint }>()
  for (const { key, operator, values } of selector) {
    if (operator !== '>' && operator !== '<') continue
    const bound = BigInt(values[0] as string)
    const own = bounds.get(key) ?? {}
    bounds.set(key, own)
    if (operator === '>') own.above = own.above === undefined || bound > own.above ? bound : own.above
    else own.below = own.below === undefined || bound < own.below ? bound : own.below
  }
  return bounds
}

function isInteger(text: string): boolean {
  return /^-?\d{1,18}$/.test(text)
}

function parseRequirement(look: () => Token, take: () => Token, takeOperator: () => Token): LabelRequirement {
  let token = take()
  const negated = token.kind === '!'
  if (negated) token = take()
  if (token.kind !== IDENTIFIER) throw new Error(`found '${token.text}', expected: identifier`)
  const key = token.text
  checkKey(key)
  const next = look().kind
  if (negated || next === END || next === ',') {
    if (next !== END && next !== ',') return { key, operator: '!', values: [] }
    return { key, operator: negated ? '!' : 'exists', values: [] }
  }
  const operator = takeOperator()
  if (!OPERATORS.has(operator.kind)) throw new Error(`found '${operator.text}', expected: ${BINARY_OPERATORS}`)
  const values =
    operator.kind === 'in' || operator.kind === 'notin' ? parseValues(look, take) : parseExactValue(look, take)
  checkValues(key, operator.kind as Operator, values)
  return { key, operator: operator.kind as Operator, values }
}

function parseValues(look: () => Token, take: () => Token): string[] {
  const open = take()
  if (open.kind !== '(') throw new Error(`found '${open.text}' expected: '('`)
  const first = look()
  if (first.kind === ')') {
    take()
    return ['']
  }
  if (first.kind !== IDENTIFIER && first.kind !== ',')
    throw new Error(`found '${first.text}', expected: ',', ')' or identifier`)
  const values = new Set<string>()
  for (;;) {
    const token = take()
    if (token.kind === IDENTIFIER) {
      values.add(token.text)
      const next = look()
      if (next.kind === ')') break
      if (next.kind !== ',') throw new Error(`found '${next.text}', expected: ',' or ')'`)
    } else if (token.kind === ',') {
      // An empty value: before the first comma, between two, or after the last one.
      if (values.size === 0) values.add('')
      const next = look()
      if (next.kind === ')') {
        values.add('')
        break
      }
      if (next.kind === ',') {
        take()
        values.add('')
      }
    } else throw new Error(`found '${token.text}', expected: ',', or identifier`)
  }
  take()
  return [...values].sort()
}

function parseExactValue(look: () => Token, take: () => Token): string[] {
  const { kind } = look()
  if (kind === END || kind === ',') return ['']
  const token = take()
  if (token.kind !== IDENTIFIER) throw new Error(`found '${token.text}', expected: identifier`)
  return [token.text]
}

function checkKey(key: string): void {
  const errors = qualifiedName(key)
  if (errors.length > 0) throw new Error(`<nil>: Invalid value: ${goQuote(key)}: ${errors.join('; ')}`)
}

function checkValues(key: string, operator: Operator, values: readonly string[]): void {
  if (operator === '>' || operator === '<') {
    if (!isInteger(values[0] as string))
      throw new Error(
        `values[0]: Invalid value: ${goQuote(values[0] as string)}: for 'Gt', 'Lt' operators, the value must be an integer`,
      )
    return
  }
  const errors = values.flatMap((value, index) => {
    const said = labelValueErrors(value)
    return said.length === 0 ? [] : [`values[${index}][${key}]: Invalid value: ${goQuote(value)}: ${said.join('; ')}`]
  })
  if (errors.length === 1) throw new Error(errors[0])
  if (errors.length > 1) throw new Error(`[${errors.join(', ')}]`)
}

function asValue(token: Token): Token {
  return token.kind === 'in' || token.kind === 'notin' ? { kind: IDENTIFIER, text: token.text } : token
}

const SPECIAL = '=!(),><'
const SYMBOLS: ReadonlySet<string> = new Set([')', ',', '!', '==', '=', '>', '<', '!=', '('])

function tokenize(text: string): Token[] {
  const tokens: Token[] = []
  let position = 0
  while (position < text.length) {
    const character = text[position] as string
    if (' \t\r\n'.includes(character)) {
      position++
      continue
    }
    if (SPECIAL.includes(character)) {
      const two = text.slice(position, position + 2)
      const symbol = SYMBOLS.has(two) && two.length === 2 ? two : character
      tokens.push({ kind: symbol, text: symbol })
      position += symbol.length
      continue
    }
    const start = position
    while (position < text.length && !`${SPECIAL} \t\r\n`.includes(text[position] as string)) position++
    const word = text.slice(start, position)
    tokens.push({ kind: word === 'in' || word === 'notin' ? word : IDENTIFIER, text: word })
  }
  tokens.push({ kind: END, text: '' })
  return tokens
}
