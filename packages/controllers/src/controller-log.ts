/**
 * What controllers do and what goes wrong with it, as lines for people. Tenants cause most of them, so that there is a
 * bound on how many there are of one second; of the rest their number is said.
 */
import type { EngineLog } from './engine/engine.ts'

export interface ControllerLogOptions {
  /** Takes a line without its end. */
  write(line: string): void
  /** ms since the epoch. */
  now(): number
  /** Console: tab-separated, fields as JSON. JSON: an object a line, as zap writes it, with `ts` in RFC 3339. */
  form?: 'console' | 'json'
  /** Whether only what goes wrong is said. */
  onlyErrors?: boolean
  /** Lines of one second. Default 100. */
  linesPerSecond?: number
}

export interface ControllerLog extends Required<EngineLog> {
  failed(where: string, message: string): void
  said(message: string): void
}

const LINES_PER_SECOND = 100

export function createControllerLog(options: ControllerLogOptions): ControllerLog {
  const { write, now, linesPerSecond = LINES_PER_SECOND, form = 'console', onlyErrors = false } = options
  let second = 0
  let lines = 0
  let dropped = 0

  function say(time: number, level: string, message: string, fields: object): void {
    const ts = new Date(time).toISOString()
    write(
      form === 'json'
        ? JSON.stringify({ level: level.toLowerCase(), ts, msg: message, ...fields })
        : `${ts}\t${level}\t${message}\t${JSON.stringify(fields)}`,
    )
  }

  function line(level: 'INFO' | 'ERROR', message: string, fields: object): void {
    if (onlyErrors && level !== 'ERROR') return
    const time = now()
    const current = Math.floor(time / 1000)
    if (current !== second) {
      if (dropped > 0) say(time, 'INFO', 'Lines left out', { count: dropped })
      second = current
      lines = 0
      dropped = 0
    }
    if (++lines > linesPerSecond) dropped++
    else say(time, level, message, fields)
  }

  return {
    started: (controller, workers) => line('INFO', 'Starting workers', { controller, 'worker count': workers }),
    passed: ({ controller, key, did }) => line('INFO', 'Reconciled', { controller, object: key, did }),
    failed: (where, message) => line('ERROR', message, { where }),
    said: (message) => line('INFO', message, {}),
  }
}
