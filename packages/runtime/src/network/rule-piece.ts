/**
 * Rules that come and go together: what one Pod, one policy or one Service adds to the firewall of the machine. Pieces are
 * known by a key; a change of some of them becomes one transaction that is as large as the change.
 */
import { RuntimeError } from '../runtime-error.ts'

export interface RulePiece {
  sets?: readonly RuleSet[]
  chains?: readonly RuleChain[]
  elements?: readonly SetElement[]
}

export interface RuleSet {
  name: string
  kind: 'set' | 'map'
  /** In nft's language, such as `type ipv4_addr; flags interval`. It never changes under the same name. */
  declaration: string
}

/** Not hooked anywhere: reached from maps of verdicts, and from other chains. */
export interface RuleChain {
  name: string
  /** In nft's language. */
  rules: readonly string[]
}

export interface SetElement {
  set: string
  key: string
  /** In maps: a verdict. */
  value?: string
}

export type RuleChange = ReadonlyMap<string, RulePiece | undefined>

/** Why the kernel refused pieces, by their keys. */
export type RefusedPieces = ReadonlyMap<string, Error>

const NAME = /^[a-z][a-z0-9_]{0,30}$/
// Written by us alone, and yet what a manifest says must not become a command, should it ever come this far.
const TEXT = /^[a-zA-Z0-9 .,:;/@_{}<>=!"*-]+$/

/** The commands that bring a table from `before` to what `change` makes of it; none where nothing changes. */
export function planRuleChange(
  table: string,
  before: ReadonlyMap<string, RulePiece>,
  change: RuleChange,
): readonly string[] {
  const old = collect([...change.keys()].flatMap((key) => before.get(key) ?? []))
  const next = collect([...change.values()].flatMap((piece) => piece ?? []))
  const gone = { sets: missing(old.sets, next.sets), chains: missing(old.chains, next.chains) }
  const made = { sets: missing(next.sets, old.sets), chains: missing(next.chains, old.chains) }
  for (const [name, { declaration }] of next.sets) {
    const known = old.sets.get(name)
    if (known && known.declaration !== declaration)
      throw new RuntimeError('network', `the set ${name} was declared as ${known.declaration}, not as ${declaration}`)
  }
  const rewritten = [...next.chains].filter(([name, rules]) => old.chains.get(name)?.join('\n') !== rules.join('\n'))
  const element = (command: string, elements: Iterable<SetElement>): string[] =>
    [...grouped(elements)].map(([set, keys]) => `${command} element ${table} ${set} { ${keys.join(', ')} }`)
  return [
    ...element(
      'delete',
      [...old.elements].flatMap(([id, each]) =>
        next.elements.get(id)?.value === each.value && next.elements.has(id) ? [] : [{ set: each.set, key: each.key }],
      ),
    ),
    ...made.sets.map(([name, { kind, declaration }]) => `add ${kind} ${table} ${name} { ${declaration}; }`),
    ...made.chains.map(([name]) => `add chain ${table} ${name}`),
    ...rewritten.flatMap(([name, rules]) => [
      ...(old.chains.has(name) ? [`flush chain ${table} ${name}`] : []),
      ...rules.map((rule) => `add rule ${table} ${name} ${rule}`),
    ]),
    ...element(
      'add',
      [...next.elements].flatMap(([id, each]) =>
        old.elements.get(id)?.value === each.value && old.elements.has(id) ? [] : [each],
      ),
    ),
    // They may lead to each other, so that all are emptied first.
    ...gone.chains.map(([name]) => `flush chain ${table} ${name}`),
    ...gone.chains.map(([name]) => `delete chain ${table} ${name}`),
    ...gone.sets.map(([name, { kind }]) => `delete ${kind} ${table} ${name}`),
  ]
}

/**
 * What stands for a piece that the kernel refuses: its sets, so that others may go on adding to them, and chains that let
 * nothing through.
 */
export function closedPiece({ sets = [], chains = [] }: RulePiece): RulePiece {
  return { sets, chains: chains.map(({ name }) => ({ name, rules: ['goto refuse'] })) }
}

/** The pieces that a change makes, each after those whose sets and chains it names. */
export function dependenciesFirst(change: RuleChange): Array<[string, RulePiece]> {
  const homes = new Map<string, string>()
  for (const [key, piece] of change) {
    for (const { name } of [...(piece?.sets ?? []), ...(piece?.chains ?? [])]) homes.set(name, key)
  }
  const ordered = new Map<string, RulePiece>()
  const seen = new Set<string>()
  const visit = (key: string): void => {
    const piece = change.get(key)
    if (!piece || seen.has(key)) return
    seen.add(key)
    const texts = [
      ...(piece.chains ?? []).flatMap(({ rules }) => rules),
      ...(piece.elements ?? []).map(({ set, value = '' }) => `${set} ${value}`),
    ]
    for (const [name] of texts.join(' ').matchAll(/[a-z][a-z0-9_]*/g)) {
      const home = homes.get(name)
      if (home !== undefined) visit(home)
    }
    ordered.set(key, piece)
  }
  for (const key of change.keys()) visit(key)
  return [...ordered]
}

interface Collected {
  sets: Map<string, RuleSet>
  chains: Map<string, readonly string[]>
  elements: Map<string, SetElement>
}

function collect(pieces: readonly RulePiece[]): Collected {
  const all: Collected = { sets: new Map(), chains: new Map(), elements: new Map() }
  for (const { sets = [], chains = [], elements = [] } of pieces) {
    for (const set of sets) {
      require(NAME, set.name)
      require(TEXT, set.declaration)
      all.sets.set(set.name, set)
    }
    for (const { name, rules } of chains) {
      require(NAME, name)
      for (const rule of rules) require(TEXT, rule)
      all.chains.set(name, rules)
    }
    for (const each of elements) {
      require(NAME, each.set)
      require(TEXT, `${each.key} : ${each.value ?? ''}`)
      all.elements.set(`${each.set} ${each.key}`, each)
    }
  }
  return all
}

function require(pattern: RegExp, text: string): void {
  if (!pattern.test(text))
    throw new RuntimeError('network', `${JSON.stringify(text)} is nothing that a rule may consist of`)
}

function missing<V>(from: ReadonlyMap<string, V>, other: ReadonlyMap<string, unknown>): Array<[string, V]> {
  return [...from].filter(([name]) => !other.has(name))
}

function grouped(elements: Iterable<SetElement>): Map<string, string[]> {
  const bySet = new Map<string, string[]>()
  for (const { set, key, value } of elements) {
    const keys = bySet.get(set) ?? []
    keys.push(value === undefined ? key : `${key} : ${value}`)
    bySet.set(set, keys)
  }
  return bySet
}
