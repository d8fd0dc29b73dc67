/**
 * Text of the cluster on its way to somebody's terminal. Sandboxes choose much of it (a termination message, a path, what
 * their tar says), and a terminal does what control characters tell it: they are shown as JSON writes them instead. Not for
 * the output of commands and logs, which is the program's own.
 */

import { Transform } from 'node:stream'
import { StringDecoder } from 'node:string_decoder'
import { showControlCharacters } from '@caisson/api'

/** In one line: its ends, too, are shown and not made. */
export function oneLine(text: string): string {
  return showControlCharacters(text)
}

/** In as many lines as it has; none but the first begins where another message could. */
export function indentedLines(text: string): string {
  return text.trimEnd().split('\n').map(oneLine).join('\n  ')
}

/** A JSON or YAML document, which has all control characters escaped but those that both leave as they are. */
export function shownDocument(text: string): string {
  return showControlCharacters(text, '\n\t')
}

const SAYS = 'caisson: '

/** Says something on standard error, as this program does. */
export function say(text: string): void {
  console.error(`${SAYS}${indentedLines(text)}`)
}

/** What was said last, of what such a program has written; undefined where it has gone on with something else. */
export function lastSaid(written: string): string | undefined {
  const lines = written.trimEnd().split('\n')
  const at = lines.findLastIndex((line) => line.startsWith(SAYS))
  const [first, ...further] = lines.slice(at)
  if (at === -1 || first === undefined || !further.every((line) => line.startsWith('  '))) return undefined
  return [first.slice(SAYS.length), ...further.map((line) => line.slice(2))].join('\n')
}

/** What another program says on its standard error, line by line. */
export function otherProgramsErrors(): Transform {
  const decoder = new StringDecoder('utf8')
  return new Transform({
    transform: (chunk: Buffer, _encoding, done) => done(null, showControlCharacters(decoder.write(chunk), '\n\t')),
    flush: (done) => done(null, showControlCharacters(decoder.end(), '\n\t')),
  })
}
