import { oneLine } from './terminal-text.ts'

const SILENCE_MS = 700
const REDRAW_MS = 1000

/**
 * On a terminal, says what is waited for once nothing has happened for most of a second, in one line that is drawn over and
 * gone when the wait is disposed of. Elsewhere nobody watches.
 *
 * @param what as in `waiting for …`
 */
export function sayWaiting(what: string): Disposable {
  if (!process.stderr.isTTY) return { [Symbol.dispose]: () => undefined }
  const began = performance.now()
  let drawn = false
  const draw = (): void => {
    drawn = true
    const seconds = Math.round((performance.now() - began) / 1000)
    process.stderr.write(`\r\x1b[Kwaiting for ${oneLine(what)}: ${seconds} s`)
    timer = setTimeout(draw, REDRAW_MS)
  }
  let timer = setTimeout(draw, SILENCE_MS)
  return {
    [Symbol.dispose]() {
      clearTimeout(timer)
      if (drawn) process.stderr.write('\r\x1b[K')
      drawn = false
    },
  }
}
