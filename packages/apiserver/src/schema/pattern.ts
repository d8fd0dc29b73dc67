/**
 * Patterns come from tenants (CRD schemas, CEL rules) and run in the thread that serves everybody, so they are matched by
 * RE2's linear-time engine, which reads the same syntax as Go's regexp and reports errors in the same words, and the work
 * of one match is bounded.
 */
import { RE2JS } from 're2js'

export interface Pattern {
  readonly source: string
  /** Unanchored, as Go's MatchString. Throws a `PatternError` where the match would take too long. */
  test(text: string): boolean
  readonly compiled: RE2JS
  /** Steps of the program: each may run once for each character. */
  readonly size: number
}

export class PatternError extends Error {
  override readonly name = 'PatternError'
  readonly code: 'syntax' | 'too-large' | 'too-expensive'
  constructor(code: PatternError['code'], message: string) {
    super(message)
    this.code = code
  }
}

// 17 kB of nested repetitions compile in 0.2 s here; no real pattern is near that.
const MAXIMUM_SOURCE = 10_000
const MAXIMUM_PROGRAM = 50_000
// The slowest matches measured took 20 ns for each step and character: one second at most.
const MAXIMUM_WORK = 50_000_000
const CACHED = 2_000
// Of one object: as much as others may be kept waiting for, once its strings might have taken as long as the slowest match.
const MAXIMUM_MS = 250

const cache = new Map<string, Pattern | PatternError>()

/** Compiles once; throws a `PatternError` for what is no pattern or is too large to run. */
export function compilePattern(source: string): Pattern {
  let found = cache.get(source)
  if (found === undefined) {
    found = compile(source)
    // The oldest goes: patterns live as long as their schema, and a schema keeps what it uses.
    if (cache.size >= CACHED) cache.delete(cache.keys().next().value as string)
    cache.set(source, found)
  }
  if (found instanceof PatternError) throw found
  return found
}

/** What the matches of one object have taken: at most, and those that were measured. */
export interface Matching {
  work: number
  ms: number
}

/** As `test`, for one of many strings. Throws a `PatternError` too where those before it have taken too long together. */
export function testAmong(spent: Matching, pattern: Pattern, text: string): boolean {
  spent.work += text.length * pattern.size
  if (spent.work <= MAXIMUM_WORK) return pattern.test(text)
  if (spent.ms > MAXIMUM_MS)
    throw new PatternError('too-expensive', 'matching all strings of the object would take too long')
  // Most patterns take far less than they might.
  const begun = performance.now()
  try {
    return pattern.test(text)
  } finally {
    spent.ms += performance.now() - begun
  }
}

/** Whether using the pattern costs no compilation. */
export function isCompiled(source: string): boolean {
  return cache.has(source)
}

function compile(source: string): Pattern | PatternError {
  if (source.length > MAXIMUM_SOURCE) {
    return new PatternError('too-large', `pattern has ${source.length} characters, ${MAXIMUM_SOURCE} are allowed`)
  }
  let compiled: RE2JS
  try {
    compiled = RE2JS.compile(source)
  } catch (error) {
    return new PatternError('syntax', (error as Error).message)
  }
  const size = compiled.programSize()
  if (size > MAXIMUM_PROGRAM) {
    return new PatternError('too-large', `pattern needs ${size} steps, ${MAXIMUM_PROGRAM} are allowed`)
  }
  return {
    source,
    compiled,
    size,
    test(text) {
      if (text.length * size > MAXIMUM_WORK) {
        throw new PatternError(
          'too-expensive',
          `matching ${text.length} characters against a pattern of ${size} steps would take too long`,
        )
      }
      return compiled.test(text)
    },
  }
}
