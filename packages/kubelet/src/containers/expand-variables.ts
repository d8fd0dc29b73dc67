/**
 * Replaces `$(NAME)` by the variable's value, as Kubernetes does in commands, arguments and values: `$$` is a dollar that
 * begins nothing, and a name without a value stays as it is written.
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
  }
  return expanded
}
