import { readFileSync } from 'node:fs'
import { CliError } from '../cli-error.ts'

/** What stands for bytes that are no UTF-8, and is a character as well. */
const REPLACED = '\u{fffd}'

/**
 * Node shows arguments as text, and what is none as another one: a command would do something else than it was told.
 *
 * @param shown as Node shows them
 * @param written their bytes, each with a zero behind it
 * @throws CliError where they are no text
 */
export function requireText(
  shown: readonly string[],
  written: () => Buffer = () => readFileSync('/proc/self/cmdline'),
): void {
  const suspect = shown.find((argument) => argument.includes(REPLACED))
  if (suspect === undefined) return
  try {
    new TextDecoder('utf-8', { fatal: true }).decode(written())
  } catch (cause) {
    throw new CliError(
      'usage',
      `an argument is no text in UTF-8, as names, variables and commands of sandboxes are: ${JSON.stringify(suspect)}`,
      { cause },
    )
  }
}
