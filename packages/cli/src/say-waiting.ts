import { oneLine } from './terminal-text.ts'

const SILENCE_MS = 700
const REDRAW_MS = 1000

export interface Waiting extends Disposable {
  /** A line of standard output, which must not stand behind what is drawn. */
  print(line: string): void
}

/**
 * On a terminal, says what is waited for once nothing has happened for most of a second, in one line that is drawn over and
 * gone when the wait is disposed of. Elsewhere nobody watches.
 *
 * @param what as in `waiting for …`
 */
export function sayWaiting(what: string): Waiting {
  if (!process.stderr.isTTY) return { print: (line) => console.log(line), [Symbol.dispose]: () => undefined }
  const began = performance.now()
  let drawn = false
  const draw = (): void => {
    drawn = true
    const seconds = Math.round((performance.now() - began) / 1000)
    process.stderr.write(`\r\x1b[Kwaiting for ${oneLine(what)}: ${seconds} s`)
    timer = setTimeout(draw, REDRAW_MS)
  }
  let timer = setTimeout(draw, SILENCE_MS)
  const erase = (): void => {
    if (drawn) process.stderr.write('\r\x1b[K')
    drawn = false
  }
  return {
    print(line) {
      erase()
      console.log(line)
    },
    [Symbol.dispose]() {
      clearTimeout(timer)
      erase()
    },
  }
}
