/**
 * From text to expressions. The grammar is that of `@marcbachmann/cel-js`; its tree becomes one like cel-go's, on which
 * Kubernetes' types and prices are defined. docs/decisions/cel-library.md says why.
 */
import { type ASTNode, Environment } from '@marcbachmann/cel-js'
import type { Expr, Issue } from './ast.ts'
import { expandMacro, MacroError } from './macros.ts'
import { Uint, type Value } from './values.ts'

/** cel-go's limit, in characters. */
const MAXIMUM_SOURCE = 100_000

/** Levels of operators: everything that walks over an expression afterwards has a stack for as many, wherever it is called. */
const MAXIMUM_DEPTH = 500

const grammar = new Environment({
  enableOptionalTypes: true,
  unlistedVariablesAreDyn: true,
  limits: {
    maxAstNodes: 100_000,
    maxDepth: 250,
    maxListElements: 100_000,
    maxMapEntries: 100_000,
    maxCallArguments: 32,
  },
})

const TOO_DEEP = 'expression recursion limit exceeded'

export type Parsed = { expr: Expr } | { issues: Issue[] }

export function parse(source: string): Parsed {
  if (source.length > MAXIMUM_SOURCE) {
    const said = `expression code point size exceeds limit: size: ${source.length}, limit ${MAXIMUM_SOURCE}`
    return { issues: [{ pos: 0, message: said }] }
  }
  let root: ASTNode
  try {
    root = grammar.parse(source).ast
  } catch (error) {
    return { issues: [syntaxError(source, error as GrammarError)] }
  }
  try {
    return { expr: new Converter(source).convert(root) }
  } catch (error) {
    if (error instanceof MacroError) return { issues: [{ pos: error.pos, message: error.message }] }
    throw error
  }
}

interface GrammarError extends Error {
  code?: string
  summary?: string
  range?: { start: number }
}

function syntaxError(source: string, error: GrammarError): Issue {
  const pos = Math.min(error.range?.start ?? 0, source.length)
  if (error instanceof RangeError) return { pos, message: TOO_DEEP }
  if (error.code === 'invalid_macro_argument') return { pos, message: 'argument must be a simple name' }
  const said = error.summary ?? error.message
  return { pos, message: `Syntax error: ${said.slice(0, 1).toLowerCase()}${said.slice(1)}` }
}

const BINARY: ReadonlyMap<string, string> = new Map([
  ['+', '_+_'],
  ['-', '_-_'],
  ['*', '_*_'],
  ['/', '_/_'],
  ['%', '_%_'],
  ['==', '_==_'],
  ['!=', '_!=_'],
  ['<', '_<_'],
  ['<=', '_<=_'],
  ['>', '_>_'],
  ['>=', '_>=_'],
  ['in', '@in'],
])

class Converter {
  readonly #source: string
  #depth = 0
  constructor(source: string) {
    this.#source = source
  }

  convert(node: ASTNode): Expr {
    // Operators that stand one behind the other nest without bound.
    if (this.#depth === MAXIMUM_DEPTH) throw new MacroError(node.start, TOO_DEEP)
    this.#depth++
    const converted = this.#convert(node)
    this.#depth--
    return converted
  }

  #convert(node: ASTNode): Expr {
    const { op, args } = node as unknown as { op: string; args: never }
    const binary = BINARY.get(op)
    if (binary !== undefined) {
      const [left, right] = args as [ASTNode, ASTNode]
      const pos = this.#find(op, left.end, right.start)
      return { kind: 'call', pos, name: binary, target: undefined, args: [this.convert(left), this.convert(right)] }
    }
    switch (op) {
      case '&&':
      case '||':
        return this.#logical(node, op)
      case 'value':
        return { kind: 'const', pos: node.start, value: this.#literal(args, node.start) }
      case 'id':
        return { kind: 'ident', pos: node.start, name: args }
      case '.': {
        const [operand, field] = args as [ASTNode, string]
        return { kind: 'select', pos: this.#dot(node.pos), operand: this.convert(operand), field, test: false }
      }
      case '.?': {
        const [operand, field] = args as [ASTNode, string]
        const pos = this.#dot(node.pos)
        const name: Expr = { kind: 'const', pos: node.pos, value: field }
        return { kind: 'call', pos, name: '_?._', target: undefined, args: [this.convert(operand), name] }
      }
      case '[]':
      case '[?]': {
        const [operand, index] = args as [ASTNode, ASTNode]
        const pos = this.#find('[', operand.end, index.start)
        const name = op === '[]' ? '_[_]' : '_[?_]'
        return { kind: 'call', pos, name, target: undefined, args: [this.convert(operand), this.convert(index)] }
      }
      case '!_':
        return { kind: 'call', pos: node.start, name: '!_', target: undefined, args: [this.convert(args)] }
      case '-_':
        return this.#negation(node, args)
      case '?:': {
        const parts = args as [ASTNode, ASTNode, ASTNode]
        const pos = this.#find('?', parts[0].end, parts[1].start)
        return { kind: 'call', pos, name: '_?_:_', target: undefined, args: parts.map((part) => this.convert(part)) }
      }
      case 'list':
        return { kind: 'list', pos: node.start, items: (args as ASTNode[]).map((item) => this.convert(item)) }
      case 'map':
        return {
          kind: 'map',
          pos: node.start,
          entries: (args as Array<[ASTNode, ASTNode]>).map(([key, value]) => [this.convert(key), this.convert(value)]),
        }
      case 'call': {
        const [name, given] = args as [string, ASTNode[]]
        const pos = this.#find('(', node.start + name.length, node.end)
        return this.#call(pos, name, undefined, given)
      }
      case 'rcall': {
        const [name, receiver, given] = args as [string, ASTNode, ASTNode[]]
        const named = this.#source.indexOf(name, receiver.end)
        return this.#call(this.#find('(', named + name.length, node.end), name, this.convert(receiver), given)
      }
      default:
        throw new MacroError(node.start, `unsupported expression ${op}`)
    }
  }

  /** However many stand one behind the other: as a tree of few levels, which cel-go makes of them, too (`balancer`). */
  #logical(node: ASTNode, op: '&&' | '||'): Expr {
    const terms: ASTNode[] = []
    const places: number[] = []
    let first = node
    while (first.op === op) {
      const [left, right] = first.args
      terms.push(right)
      places.push(this.#find(op, left.end, right.start))
      first = left
    }
    const converted = [first, ...terms.reverse()].map((term) => this.convert(term))
    places.reverse()
    const between = (from: number, to: number): Expr => {
      if (from === to) return converted[from] as Expr
      const middle = Math.ceil((from + to) / 2)
      const args = [between(from, middle - 1), between(middle, to)]
      return { kind: 'call', pos: places[middle - 1] as number, name: `_${op}_`, target: undefined, args }
    }
    return between(0, terms.length)
  }

  #call(pos: number, name: string, target: Expr | undefined, given: readonly ASTNode[]): Expr {
    const args = given.map((arg) => this.convert(arg))
    return expandMacro({ pos, name, target, args }) ?? { kind: 'call', pos, name, target, args }
  }

  /** `-9223372036854775808` is one literal: without its sign it would be out of range. */
  #negation(node: ASTNode, operand: ASTNode): Expr {
    const { op, args } = operand as unknown as { op: string; args: unknown }
    const adjacent = operand.start === node.start + 1
    if (op === 'value' && adjacent && (typeof args === 'bigint' || typeof args === 'number')) {
      return { kind: 'const', pos: node.start, value: this.#literal(-args as never, node.start) }
    }
    return { kind: 'call', pos: node.start, name: '-_', target: undefined, args: [this.convert(operand)] }
  }

  #literal(value: unknown, pos: number): Value {
    if (typeof value === 'object' && value !== null && !(value instanceof Uint8Array)) {
      const unsigned = value.valueOf() as bigint
      if (BigInt.asUintN(64, unsigned) !== unsigned) throw new MacroError(pos, 'invalid uint literal')
      return new Uint(unsigned)
    }
    if (typeof value === 'bigint' && BigInt.asIntN(64, value) !== value)
      throw new MacroError(pos, 'invalid int literal')
    return value as Value
  }

  /** Where a token stands between two expressions; brackets around them belong to neither. */
  #find(token: string, from: number, to: number): number {
    const found = this.#source.indexOf(token, from)
    return found < 0 || found > to ? from : found
  }

  #dot(field: number): number {
    const found = this.#source.lastIndexOf('.', field)
    return found < 0 ? field : found
  }
}
