/** CEL's string extensions. Positions count code points. */
import { codePoints, type Declaration, declare, global, hasPairs, member, sizeOf, traversal } from './functions.ts'
import { format } from './string-format.ts'
import { DYN, INT, listOf, STRING } from './types.ts'
import { ArrayList, EvaluationError, type ListValue, typeName, type Value } from './values.ts'
import { spendOnText } from './work.ts'

const STRINGS = listOf(STRING)

function outOfRange(index: bigint | number): EvaluationError {
  return new EvaluationError(`index out of range: ${index}`)
}

function charAt(text: string, index: bigint): string {
  if (index < 0n || index > codePoints(text)) throw outOfRange(index)
  const code = text.codePointAt(inUnits(text, Number(index)))
  return code === undefined ? '' : String.fromCodePoint(code)
}

function substring(text: string, start: bigint, end?: bigint): string {
  const length = codePoints(text)
  const last = end ?? BigInt(length)
  if (end !== undefined && start > end) {
    throw new EvaluationError(`invalid substring range. start: ${start}, end: ${end}`)
  }
  if (start < 0n || start > length) throw outOfRange(start)
  if (last < 0n || last > length) throw outOfRange(last)
  return text.slice(inUnits(text, Number(start)), inUnits(text, Number(last)))
}

/** The position in code points of a position in UTF-16 units. */
function inPoints(text: string, index: number): bigint {
  return BigInt(index < 0 ? -1 : codePoints(text.slice(0, index)))
}

/** The position in UTF-16 units of a position in code points. */
function inUnits(text: string, points: number): number {
  if (!hasPairs(text)) return points
  spendOnText(text.length)
  let at = 0
  for (let left = points; left > 0 && at < text.length; left--) at += (text.codePointAt(at) as number) > 0xffff ? 2 : 1
  return at
}

function indexOf(text: string, wanted: string, from: bigint): bigint {
  if (wanted === '') return from
  if (from < 0n) throw outOfRange(from)
  if (from >= codePoints(text)) return -1n
  return inPoints(text, text.indexOf(wanted, inUnits(text, Number(from))))
}

function lastIndexOf(text: string, wanted: string, from?: bigint): bigint {
  const length = codePoints(text)
  if (wanted === '') return from ?? BigInt(length)
  if (from === undefined) return inPoints(text, text.lastIndexOf(wanted))
  if (from < 0n) throw outOfRange(from)
  if (from >= length) return -1n
  return inPoints(text, text.lastIndexOf(wanted, inUnits(text, Number(from))))
}

function replace(text: string, wanted: string, by: string, times: number): string {
  if (times < 0) return text.replaceAll(wanted, () => by)
  if (wanted === '') {
    const points = Array.from(text)
    return (
      points.map((point, index) => (index < times ? by + point : point)).join('') + (points.length < times ? by : '')
    )
  }
  const parts = split(text, wanted, times + 1)
  return parts.join(by)
}

/** At most `limit` parts, the last of which holds the rest; below zero all of them. */
function split(text: string, separator: string, limit: number): string[] {
  if (limit === 0) return []
  const parts = separator === '' ? Array.from(text) : text.split(separator)
  if (limit < 0 || parts.length <= limit) return parts
  return [...parts.slice(0, limit - 1), parts.slice(limit - 1).join(separator)]
}

function list(items: string[]): ArrayList {
  return new ArrayList(items)
}

function join(items: ListValue, separator: string): string {
  const texts: string[] = []
  for (const item of items) {
    if (typeof item !== 'string') throw new EvaluationError(`join: invalid input: ${typeName(item)}`)
    texts.push(item)
  }
  return texts.join(separator)
}

const joinCost = {
  // What is put together is bounded before it is: the price below comes after the fact.
  cost: ([items, separator]: readonly Value[]): number => {
    let length = sizeOf((separator as Value) ?? '') * sizeOf(items as Value)
    for (const item of items as ListValue) length += typeof item === 'string' ? item.length : 0
    return length > 10_000_000 ? length : 0
  },
  costAfter: (_args: readonly Value[], result: Value): number => Math.ceil(sizeOf(result) * 0.2),
}

/** Without the white space around it, by Unicode's definition of it. */
function trim(text: string): string {
  const isSpace = (at: number): boolean => /[\p{White_Space}]/u.test(text[at] as string)
  let [start, end] = [0, text.length]
  while (start < end && isSpace(start)) start++
  while (end > start && isSpace(end - 1)) end--
  return text.slice(start, end)
}

function quote(text: string): string {
  // oxlint-disable-next-line no-control-regex -- the bell is one of those that have an escape
  const escaped = text.toWellFormed().replace(/[\\"\x07\b\f\n\r\t\v]/g, (character) => ESCAPES.get(character) as string)
  return `"${escaped}"`
}

const ESCAPES: ReadonlyMap<string, string> = new Map([
  ['\\', '\\\\'],
  ['"', '\\"'],
  ['\x07', '\\a'],
  ['\b', '\\b'],
  ['\f', '\\f'],
  ['\n', '\\n'],
  ['\r', '\\r'],
  ['\t', '\\t'],
  ['\v', '\\v'],
])

const ascii = (change: (text: string) => string) => (_: unknown, text: string) =>
  text.replace(/[a-zA-Z]+/g, (letters) => change(letters))

export const STRING_FUNCTIONS: readonly Declaration[] = [
  declare(
    'charAt',
    member('string_char_at_int', [STRING, INT], STRING, (_, a: string, b: bigint) => charAt(a, b)),
  ),
  declare(
    'lowerAscii',
    member(
      'string_lower_ascii',
      [STRING],
      STRING,
      ascii((letters) => letters.toLowerCase()),
      { cost: traversal() },
    ),
  ),
  declare(
    'upperAscii',
    member(
      'string_upper_ascii',
      [STRING],
      STRING,
      ascii((letters) => letters.toUpperCase()),
      { cost: traversal() },
    ),
  ),
  declare(
    'replace',
    member(
      'string_replace_string_string',
      [STRING, STRING, STRING],
      STRING,
      (_, a: string, b: string, c: string) => replace(a, b, c, -1),
      { cost: replaceCost },
    ),
    member(
      'string_replace_string_string_int',
      [STRING, STRING, STRING, INT],
      STRING,
      (_, a: string, b: string, c: string, times: bigint) => replace(a, b, c, Number(times)),
      { cost: replaceCost },
    ),
  ),
  declare(
    'split',
    member('string_split_string', [STRING, STRING], STRINGS, (_, a: string, b: string) => list(split(a, b, -1)), {
      cost: traversal(2),
    }),
    member(
      'string_split_string_int',
      [STRING, STRING, INT],
      STRINGS,
      (_, a: string, b: string, limit: bigint) => list(split(a, b, Number(limit))),
      { cost: traversal(2) },
    ),
  ),
  declare(
    'substring',
    member('string_substring_int', [STRING, INT], STRING, (_, a: string, b: bigint) => substring(a, b), {
      cost: traversal(),
    }),
    member(
      'string_substring_int_int',
      [STRING, INT, INT],
      STRING,
      (_, a: string, b: bigint, c: bigint) => substring(a, b, c),
      { cost: traversal() },
    ),
  ),
  declare(
    'trim',
    member('string_trim', [STRING], STRING, (_, a: string) => trim(a), { cost: traversal() }),
  ),
  declare(
    'join',
    member('list_join', [STRINGS], STRING, (_, items: ListValue) => join(items, ''), joinCost),
    member(
      'list_join_string',
      [STRINGS, STRING],
      STRING,
      (_, items: ListValue, by: string) => join(items, by),
      joinCost,
    ),
  ),
  declare(
    'format',
    member('string_format', [STRING, listOf(DYN)], STRING, (_, a: string, args: ListValue) => format(a, args), {
      cost: traversal(),
    }),
  ),
  declare(
    'strings.quote',
    global('strings_quote', [STRING], STRING, (_, a: string) => quote(a), { cost: traversal() }),
  ),
]

/** A short text replaced by a long one can grow far beyond what reading it costs: that is charged too. */
function replaceCost(args: readonly Value[]): number {
  const [text, wanted, by] = args as [string, string, string]
  const times = Math.floor(text.length / Math.max(1, wanted.length)) + 1
  const result = times * by.length
  return traversal(2)(args) + (result > 1_000_000 ? Math.ceil(result * 0.1) : 0)
}

/** Positions of text; lists have functions of the same names. */
export const STRING_INDEX = {
  indexOf: [
    member('string_index_of_string', [STRING, STRING], INT, (_, a: string, b: string) => indexOf(a, b, 0n), {
      cost: wholeText,
    }),
    member(
      'string_index_of_string_int',
      [STRING, STRING, INT],
      INT,
      (_, a: string, b: string, from: bigint) => indexOf(a, b, from),
      { cost: wholeText },
    ),
  ],
  lastIndexOf: [
    member('string_last_index_of_string', [STRING, STRING], INT, (_, a: string, b: string) => lastIndexOf(a, b), {
      cost: wholeText,
    }),
    member(
      'string_last_index_of_string_int',
      [STRING, STRING, INT],
      INT,
      (_, a: string, b: string, from: bigint) => lastIndexOf(a, b, from),
      { cost: wholeText },
    ),
  ],
}

function wholeText([text]: readonly Value[]): number {
  return Math.floor(Buffer.byteLength(text as string) * 0.1)
}
