/** Connects this process's terminal or pipes to a command that runs somewhere else. */
import { pipeline } from 'node:stream/promises'
import type { RemoteCommand } from '@caisson/client'
import { CliError } from './cli-error.ts'

export interface TerminalOptions {
  interactive: boolean
  tty: boolean
}

/** @throws CliError where a terminal was asked for and there is none */
export function requireTerminal({ tty, interactive }: TerminalOptions): void {
  if (tty && interactive && !process.stdin.isTTY) {
    throw new CliError('usage', '-t needs a terminal, and standard input is none: leave -t out for pipes')
  }
}

/** Copies until the command has ended; gives its exit code. The terminal is as it was before, whatever happens. */
export async function copyStreams(command: RemoteCommand, { interactive, tty }: TerminalOptions): Promise<number> {
  const raw = tty && interactive && process.stdin.isTTY
  const resize = (): void => {
    if (process.stdout.columns && process.stdout.rows)
      command.resize({ columns: process.stdout.columns, rows: process.stdout.rows })
  }
  if (raw) process.stdin.setRawMode(true)
  if (tty) {
    resize()
    process.on('SIGWINCH', resize)
  }
  // Its end is the command's business: a shell that exits does not read the rest of what was typed.
  if (interactive && command.stdin) process.stdin.pipe(command.stdin).on('error', () => undefined)
  else command.stdin?.end()
  try {
    const outputs = [
      command.stdout && pipeline(command.stdout, process.stdout, { end: false }),
      command.stderr && pipeline(command.stderr, process.stderr, { end: false }),
    ]
    const [{ exitCode }] = await Promise.all([command.exit, ...outputs])
    return exitCode
  } finally {
    if (raw) process.stdin.setRawMode(false)
    process.off('SIGWINCH', resize)
    process.stdin.unpipe()
    process.stdin.pause()
    // A pipe that nobody closes would keep this process alive.
    process.stdin.unref?.()
  }
}
