/** Command lines as Go's `flag` package reads them: `-flag`, `--flag`, `--flag=value`, `--flag value`. */
import { CliError } from '../cli-error.ts'
import { parseDuration } from '../duration.ts'

interface FlagValues {
  boolean: boolean
  /** Whole. */
  integer: number
  number: number
  /** ms. */
  duration: number
  text: string
}

export interface GoFlag<K extends keyof FlagValues = keyof FlagValues> {
  kind: K
  about: string
}

type ValuesOf<F extends Readonly<Record<string, GoFlag>>> = { [N in keyof F]?: FlagValues[F[N]['kind']] }

/**
 * Only flags that were given have a value. As in Go the last one counts where a flag is given twice, and a boolean takes
 * its value after `=` only.
 *
 * @throws CliError that names the flag and what it takes
 */
export function parseGoFlags<F extends Readonly<Record<string, GoFlag>>>(
  flags: F,
  words: readonly string[],
): ValuesOf<F> {
  const values: Record<string, FlagValues[keyof FlagValues]> = {}
  const rest = [...words]
  for (let word = rest.shift(); word !== undefined; word = rest.shift()) {
    const match = /^--?([^-=][^=]*)(?:=(.*))?$/s.exec(word)
    if (!match)
      throw new CliError('usage', `a flag begins with a dash and has a name: ${JSON.stringify(word)} does not`)
    const name = match[1] ?? ''
    const flag = Object.hasOwn(flags, name) ? flags[name] : undefined
    if (!flag) throw unknownFlag(name, Object.keys(flags))
    const text = match[2] ?? (flag.kind === 'boolean' ? 'true' : rest.shift())
    if (text === undefined) throw new CliError('usage', `--${name} needs a value`)
    values[name] = READERS[flag.kind](`--${name}`, text)
  }
  return values as ValuesOf<F>
}

const TRUE: ReadonlySet<string> = new Set(['1', 't', 'T', 'true', 'TRUE', 'True'])
const FALSE: ReadonlySet<string> = new Set(['0', 'f', 'F', 'false', 'FALSE', 'False'])

const READERS: { [K in keyof FlagValues]: (name: string, text: string) => FlagValues[K] } = {
  boolean(name, text) {
    if (!TRUE.has(text) && !FALSE.has(text)) throw wrong(name, 'true or false', text)
    return TRUE.has(text)
  },
  integer(name, text) {
    if (!/^[+-]?\d{1,15}$/.test(text)) throw wrong(name, 'a whole number', text)
    return Number(text)
  },
  number(name, text) {
    if (!/^[+-]?\d{1,15}(\.\d{1,15})?$/.test(text)) throw wrong(name, 'a number', text)
    return Number(text)
  },
  duration(name, text) {
    // Go wants a unit, but for nothing at all.
    if (/^[1-9]\d*$/.test(text)) throw wrong(name, 'a duration with its unit, such as 30s or 5m', text)
    return parseDuration(name, text)
  },
  text: (_name, text) => text,
}

function wrong(name: string, expected: string, text: string): CliError {
  return new CliError('usage', `${name} takes ${expected}, not ${JSON.stringify(text)}`)
}

function unknownFlag(name: string, known: readonly string[]): CliError {
  const [nearest] = known
    .map((other) => ({ other, distance: editDistance(name.slice(0, 100), other) }))
    .sort((one, two) => one.distance - two.distance)
  const hint = nearest && nearest.distance <= 1 + name.length / 4 ? `did you mean --${nearest.other}?` : 'see --help'
  return new CliError('usage', `there is no flag --${name}: ${hint}`)
}

/** Letters to add, drop or replace (Levenshtein 1966). */
function editDistance(one: string, two: string): number {
  let row = Array.from({ length: two.length + 1 }, (_, index) => index)
  for (let i = 0; i < one.length; i++) {
    const next = [i + 1]
    for (let j = 0; j < two.length; j++) {
      const replaced = (row[j] ?? 0) + (one[i] === two[j] ? 0 : 1)
      next.push(Math.min(replaced, (row[j + 1] ?? 0) + 1, (next[j] ?? 0) + 1))
    }
    row = next
  }
  return row[two.length] ?? 0
}
