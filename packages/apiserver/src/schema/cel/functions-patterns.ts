/** Functions that search by patterns, on the engine that takes linear time. */
import { compilePattern, isCompiled, type Pattern, PatternError } from '../pattern.ts'
import { type Declaration, declare, global, member, regexCost } from './functions.ts'
import { BOOL, INT, listOf, STRING } from './types.ts'
import { ArrayList, EvaluationError } from './values.ts'
import { spend } from './work.ts'

const STRINGS = listOf(STRING)

/** The compiled pattern, after paying for what the match can take. */
function patternFor(text: string, source: string): Pattern {
  const isNew = !isCompiled(source)
  if (isNew) spend(100 + source.length)
  const pattern = compilePattern(source)
  if (isNew) spend(pattern.size * 3)
  spend((text.length * pattern.size) / 50)
  return pattern
}

/** A match on the engine that takes linear time. */
function matches(text: string, pattern: string): boolean {
  try {
    return patternFor(text, pattern).test(text)
  } catch (error) {
    if (error instanceof PatternError) throw new EvaluationError(error.message, { cause: error })
    throw error
  }
}

function find(text: string, pattern: string, limit: number): string[] {
  if (limit === 0) return []
  try {
    const compiled = patternFor(text, pattern)
    // Refuses what would take too long.
    if (!compiled.test(text)) return []
    const found: string[] = []
    const matcher = compiled.compiled.matcher(text)
    // Each search can read the rest of the text, so that all of them may take quadratic time; mostly it is linear.
    for (let from = performance.now(); found.length !== limit && matcher.find(); ) {
      found.push(matcher.group() ?? '')
      const now = performance.now()
      spend((now - from) * 1_000)
      from = now
    }
    return found
  } catch (error) {
    if (error instanceof PatternError) throw new EvaluationError(error.message, { cause: error })
    throw error
  }
}

export const PATTERN_FUNCTIONS: readonly Declaration[] = [
  declare(
    'matches',
    global('matches', [STRING, STRING], BOOL, (_, a: string, b: string) => matches(a, b), { cost: regexCost }),
    member('matches_string', [STRING, STRING], BOOL, (_, a: string, b: string) => matches(a, b), { cost: regexCost }),
  ),
  declare(
    'find',
    member('string_find_string', [STRING, STRING], STRING, (_, a: string, b: string) => find(a, b, 1)[0] ?? '', {
      cost: regexCost,
    }),
  ),
  declare(
    'findAll',
    member(
      'string_find_all_string',
      [STRING, STRING],
      STRINGS,
      (_, a: string, b: string) => new ArrayList(find(a, b, -1)),
      {
        cost: regexCost,
      },
    ),
    member(
      'string_find_all_string_int',
      [STRING, STRING, INT],
      STRINGS,
      (_, a: string, b: string, limit: bigint) => new ArrayList(find(a, b, Number(limit))),
      { cost: regexCost },
    ),
  ),
]
