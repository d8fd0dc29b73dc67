/**
 * Splits a command into words as Python's `shlex.split` does, which is what the runtime does whose API this is: quotes and
 * backslashes mean what they do in a shell, and nothing else means anything.
 *
 * @throws Error in its words, where a quotation has no end
 */
export function shellWords(text: string): string[] {
  const words: string[] = []
  let word: string | undefined
  for (let at = 0; at < text.length; at++) {
    const character = text[at] ?? ''
    if (/[ \t\r\n]/.test(character)) {
      if (word !== undefined) words.push(word)
      word = undefined
    } else if (character === "'") {
      const end = text.indexOf("'", at + 1)
      if (end < 0) throw new Error('No closing quotation')
      word = (word ?? '') + text.slice(at + 1, end)
      at = end
    } else if (character === '"') {
      const quoted = doubleQuoted(text, at + 1)
      word = (word ?? '') + quoted.content
      at = quoted.end
    } else if (character === '\\') {
      const escaped = text[++at]
      if (escaped === undefined) throw new Error('No escaped character')
      word = (word ?? '') + escaped
    } else {
      word = (word ?? '') + character
    }
  }
  if (word !== undefined) words.push(word)
  return words
}

/** Within double quotes a backslash escapes itself and the quote alone. */
function doubleQuoted(text: string, from: number): { content: string; end: number } {
  let content = ''
  for (let at = from; at < text.length; at++) {
    const character = text[at] ?? ''
    if (character === '"') return { content, end: at }
    const next = text[at + 1]
    if (character === '\\' && (next === '"' || next === '\\')) {
      content += next
      at++
    } else {
      content += character
    }
  }
  throw new Error('No closing quotation')
}
