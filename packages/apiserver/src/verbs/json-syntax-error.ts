/** Says what is wrong with a text that is no JSON, in the words of Go's `encoding/json`. */
import { goQuote } from '../registry/field-error.ts'

const END = 'unexpected end of JSON input'

class SyntaxFault extends Error {}

/** @param bytes what `JSON.parse` refused, in UTF-8 or what was meant to be that */
export function jsonSyntaxError(bytes: Buffer): string {
  // Go looks at bytes: of a character beyond ASCII it shows the first one, as the Latin-1 character that it would be.
  const text = bytes.toString('latin1')
  let position = 0

  function fault(where: string): never {
    throw new SyntaxFault(
      position >= text.length ? END : `invalid character ${quotedCharacter(text, position)} ${where}`,
    )
  }

  function space(): void {
    while (position < text.length && ' \t\r\n'.includes(text[position] as string)) position++
  }

  function value(depth: number): void {
    space()
    const character = text[position]
    if (character === '{') return object(depth + 1)
    if (character === '[') return array(depth + 1)
    if (character === '"') return string()
    if (character === 't') return literal('true')
    if (character === 'f') return literal('false')
    if (character === 'n') return literal('null')
    if (character !== undefined && /[-0-9]/.test(character)) return number()
    return fault('looking for beginning of value')
  }

  function literal(word: string): void {
    for (let index = 0; index < word.length; index++, position++)
      if (text[position] !== word[index]) fault(`in literal ${word} (expecting '${word[index]}')`)
  }

  function digits(where: string): void {
    if (!/[0-9]/.test(text[position] ?? '')) fault(where)
    while (/[0-9]/.test(text[position] ?? '')) position++
  }

  function number(): void {
    if (text[position] === '-') position++
    if (text[position] === '0') position++
    else digits('in numeric literal')
    if (text[position] === '.') {
      position++
      digits('after decimal point in numeric literal')
    }
    if (/[eE]/.test(text[position] ?? '')) {
      position++
      if (/[-+]/.test(text[position] ?? '')) position++
      digits('in exponent of numeric literal')
    }
  }

  function string(): void {
    position++
    for (; text[position] !== '"'; position++) {
      const character = text[position]
      if (character === undefined || character < ' ') fault('in string literal')
      if (character !== '\\') continue
      position++
      if (text[position] === 'u') {
        for (let count = 0; count < 4; count++) {
          position++
          if (!/[0-9a-fA-F]/.test(text[position] ?? '')) fault('in \\u hexadecimal character escape')
        }
      } else if (!'"\\/bfnrt'.includes(text[position] ?? 'none')) fault('in string escape code')
    }
    position++
  }

  function object(depth: number): void {
    tooDeep(depth)
    position++
    space()
    if (text[position] === '}') {
      position++
      return
    }
    for (;;) {
      space()
      if (text[position] !== '"') fault('looking for beginning of object key string')
      string()
      space()
      if (text[position] !== ':') fault('after object key')
      position++
      value(depth)
      space()
      if (text[position] === '}') break
      if (text[position] !== ',') fault('after object key:value pair')
      position++
    }
    position++
  }

  function array(depth: number): void {
    tooDeep(depth)
    position++
    space()
    if (text[position] === ']') {
      position++
      return
    }
    for (;;) {
      value(depth)
      space()
      if (text[position] === ']') break
      if (text[position] !== ',') fault('after array element')
      position++
    }
    position++
  }

  try {
    value(0)
    space()
    if (position < text.length) fault('after top-level value')
    return END
  } catch (error) {
    if (error instanceof SyntaxFault) return error.message
    throw error
  }
}

/** Go's own bound is 10,000; ours keeps the stack whole. */
function tooDeep(depth: number): void {
  if (depth > 1000) throw new SyntaxFault('exceeded max depth')
}

function quotedCharacter(text: string, position: number): string {
  const character = text[position] as string
  if (character === "'") return String.raw`'\''`
  if (character === '"') return `'"'`
  return `'${goQuote(character).slice(1, -1)}'`
}
