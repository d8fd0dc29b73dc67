/** The macros of CEL: `has`, `all`, `exists`, `map`, … They become folds, whose parts are checked and priced one by one. */
import type { Expr, Fold } from './ast.ts'

export class MacroError extends Error {
  override readonly name = 'MacroError'
  readonly code = 'macro'
  readonly pos: number
  constructor(pos: number, message: string) {
    super(message)
    this.pos = pos
  }
}

export interface Call {
  pos: number
  name: string
  target: Expr | undefined
  args: Expr[]
}

const ACCUMULATOR = '@result'

/** The expansion of a call that is a macro; undefined for every other one. */
export function expandMacro(call: Call): Expr | undefined {
  const { name, target, args } = call
  if (!target) return name === 'has' && args.length === 1 ? has(call, args[0] as Expr) : undefined
  const count = args.length
  switch (name) {
    case 'all':
    case 'exists':
      if (count === 2 || count === 3) return quantifier(call, target)
      return undefined
    case 'exists_one':
    case 'existsOne':
      if (count === 2 || count === 3) return existsOne(call, target)
      return undefined
    case 'map':
      if (count === 2 || count === 3) return collect(call, target, { filter: count === 3 ? args[1] : undefined })
      return undefined
    case 'filter':
      if (count === 2) return filter(call, target)
      return undefined
    case 'transformList':
      if (count === 3 || count === 4)
        return collect(call, target, { filter: count === 4 ? args[2] : undefined, two: true })
      return undefined
    case 'transformMap':
    case 'transformMapEntry':
      if (count === 3 || count === 4) return transformMap(call, target)
      return undefined
    case 'optMap':
    case 'optFlatMap':
      if (count === 2) return optionalMap(call, target)
      return undefined
    default:
      return undefined
  }
}

function has({ pos }: Call, arg: Expr): Expr {
  if (arg.kind === 'select') return { ...arg, pos, test: true }
  throw new MacroError(arg.pos, 'invalid argument to has() macro')
}

function variable(arg: Expr): string {
  if (arg.kind !== 'ident') throw new MacroError(arg.pos, 'argument must be a simple name')
  if (arg.name === '__result__') throw new MacroError(arg.pos, 'iteration variable overwrites accumulator variable')
  return arg.name
}

function variables(args: readonly Expr[], two: boolean): Pick<Fold, 'iterVar' | 'iterVar2'> {
  const iterVar = variable(args[0] as Expr)
  if (!two) return { iterVar, iterVar2: undefined }
  const iterVar2 = variable(args[1] as Expr)
  if (iterVar === iterVar2) throw new MacroError((args[1] as Expr).pos, `duplicate variable name: ${iterVar}`)
  return { iterVar, iterVar2 }
}

function quantifier({ pos, name, args }: Call, range: Expr): Fold {
  const every = name === 'all'
  const predicate = args.at(-1) as Expr
  const going = every ? accumulator(pos) : call(pos, '!_', accumulator(pos))
  return {
    kind: 'fold',
    pos,
    range,
    ...variables(args, args.length === 3),
    accuVar: ACCUMULATOR,
    init: constant(pos, every),
    condition: call(pos, '@not_strictly_false', going),
    step: call(pos, every ? '_&&_' : '_||_', accumulator(pos), predicate),
    result: accumulator(pos),
  }
}

function existsOne({ pos, args }: Call, range: Expr): Fold {
  const more = call(pos, '_+_', accumulator(pos), constant(pos, 1n))
  return {
    kind: 'fold',
    pos,
    range,
    ...variables(args, args.length === 3),
    accuVar: ACCUMULATOR,
    init: constant(pos, 0n),
    condition: constant(pos, true),
    step: call(pos, '_?_:_', args.at(-1) as Expr, more, accumulator(pos)),
    result: call(pos, '_==_', accumulator(pos), constant(pos, 1n)),
  }
}

/** `accumulator + [transform]` for each element, or for those that the filter lets through. */
function collect(
  { pos, args }: Call,
  range: Expr,
  { filter, two = false }: { filter?: Expr | undefined; two?: boolean },
): Fold {
  return listFold(pos, range, variables(args, two), args.at(-1) as Expr, filter)
}

function filter({ pos, args }: Call, range: Expr): Fold {
  const vars = variables(args, false)
  return listFold(pos, range, vars, { kind: 'ident', pos: (args[0] as Expr).pos, name: vars.iterVar }, args[1])
}

function listFold(
  pos: number,
  range: Expr,
  vars: Pick<Fold, 'iterVar' | 'iterVar2'>,
  item: Expr,
  condition: Expr | undefined,
): Fold {
  const added = call(pos, '_+_', accumulator(pos), { kind: 'list', pos, items: [item] })
  return {
    kind: 'fold',
    pos,
    range,
    ...vars,
    accuVar: ACCUMULATOR,
    init: { kind: 'list', pos, items: [] },
    condition: constant(pos, true),
    step: condition ? call(pos, '_?_:_', condition, added, accumulator(pos)) : added,
    result: accumulator(pos),
  }
}

function transformMap({ pos, name, args }: Call, range: Expr): Fold {
  const vars = variables(args, true)
  const value = args.at(-1) as Expr
  const inserted =
    name === 'transformMap'
      ? call(pos, 'cel.@mapInsert', accumulator(pos), { kind: 'ident', pos, name: vars.iterVar }, value)
      : call(pos, 'cel.@mapInsert', accumulator(pos), value)
  const condition = args.length === 4 ? args[2] : undefined
  return {
    kind: 'fold',
    pos,
    range,
    ...vars,
    accuVar: ACCUMULATOR,
    init: { kind: 'map', pos, entries: [] },
    condition: constant(pos, true),
    step: condition ? call(pos, '_?_:_', condition, inserted, accumulator(pos)) : inserted,
    result: accumulator(pos),
  }
}

/** `opt.optMap(v, expression)`: the value of a present optional, bound to a name. */
function optionalMap({ pos, name, args }: Call, target: Expr): Expr {
  const iterVar = variable(args[0] as Expr)
  const bound: Fold = {
    kind: 'fold',
    pos,
    range: { kind: 'list', pos, items: [] },
    iterVar: '#unused',
    iterVar2: undefined,
    accuVar: iterVar,
    init: member(pos, 'value', target),
    condition: constant(pos, false),
    step: { kind: 'ident', pos, name: iterVar },
    result: args[1] as Expr,
  }
  const present = name === 'optMap' ? member(pos, 'of', { kind: 'ident', pos, name: 'optional' }, bound) : bound
  const absent = member(pos, 'none', { kind: 'ident', pos, name: 'optional' })
  return call(pos, '_?_:_', member(pos, 'hasValue', target), present, absent)
}

function accumulator(pos: number): Expr {
  return { kind: 'ident', pos, name: ACCUMULATOR }
}

function constant(pos: number, value: boolean | bigint): Expr {
  return { kind: 'const', pos, value }
}

function call(pos: number, name: string, ...args: Expr[]): Expr {
  return { kind: 'call', pos, name, target: undefined, args }
}

function member(pos: number, name: string, target: Expr, ...args: Expr[]): Expr {
  return { kind: 'call', pos, name, target, args }
}
