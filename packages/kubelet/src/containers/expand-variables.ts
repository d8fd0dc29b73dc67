import { ConfigError } from './config-error.ts'

/** More than Linux lets any program be started with. Values that name values before them double with each step. */
const LONGEST = 1024 * 1024

/** Of all parts of a command together: as much as Linux lets a program be started with. */
const LARGEST_COMMAND = 2 * LONGEST

/**
 * The parts of a command or its arguments, each expanded.
 * Throws a ConfigError where one of them has no end, or where all together are more than any program is started with.
 */
export function expandCommand(parts: readonly string[], valueOf: (name: string) => string | undefined): string[] {
  let size = 0
  return parts.map((part) => {
    const expanded = expandVariables(part, valueOf)
    size += expanded.length
    if (size > LARGEST_COMMAND) throw new ConfigError(`the command is longer than ${LARGEST_COMMAND} characters`)
    return expanded
  })
}

/**
 * Replaces `$(NAME)` by the variable's value, as Kubernetes does in commands, arguments and values: `$$` is a dollar that
 * begins nothing, and a name without a value stays as it is written.
 * Throws a ConfigError where the result has no end.
 */
export function expandVariables(text: string, valueOf: (name: string) => string | undefined): string {
  let expanded = ''
  for (let index = 0; index < text.length; index++) {
    const next = text[index + 1]
    if (text[index] !== '$' || (next !== '$' && next !== '(')) {
      expanded += text[index]
      continue
    }
    if (next === '$') {
      expanded += '$'
      index++
      continue
    }
    const end = text.indexOf(')', index)
    // Nothing after this closes a name either.
    if (end < 0) return expanded + text.slice(index)
    const name = text.slice(index + 2, end)
    expanded += valueOf(name) ?? `$(${name})`
    index = end
    if (expanded.length > LONGEST)
      throw new ConfigError(`a value is longer than ${LONGEST} characters once its variables are expanded`)
  }
  return expanded
}
