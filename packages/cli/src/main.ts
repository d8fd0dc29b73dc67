/** The command line: what it was given, and how it ends. */
import type { Command } from 'commander'
import { CliError, type CliErrorCode, EXIT_CODES } from './cli-error.ts'
import { guardOutput } from './output.ts'
import { nameOf } from './program/options.ts'
import { commandsBelow, program } from './program/program.ts'
import { requireText } from './program/text-arguments.ts'
import { indentedLines, say } from './terminal-text.ts'

/** What commander says, as everything else here is said: by whom, in one sentence, with the next step. */
function usageError(text: string, command: Command): string {
  const [said = '', suggestion] = text
    .trim()
    .replace(/^error: /, '')
    .split('\n')
  const next = isLikely(said, suggestion) ? suggestion.replace(/^\((.*)\)$/, '$1') : `see '${nameOf(command)} --help'`
  return `caisson: ${said.replace(/\.$/, '')}: ${next}\n`
}

/** commander takes `logs` for what `bogus` could mean: who mistypes a word begins it right. */
function isLikely(said: string, suggestion: string | undefined): suggestion is string {
  const typed = /'-*(\w)/.exec(said)?.[1]
  const meant = /Did you mean (?:one of )?-*(\w)/.exec(suggestion ?? '')?.[1]
  return suggestion !== undefined && typed === meant
}

/** Runs the command of this process's arguments, and leaves how it went as its exit code. */
export async function main(): Promise<void> {
  guardOutput()
  const caisson = program()
  // commander's own errors are usage errors, which it prints.
  for (const command of [caisson, ...commandsBelow(caisson)]) {
    command.exitOverride().configureOutput({ outputError: (text, write) => write(usageError(text, command)) })
  }
  try {
    requireText(process.argv)
    await caisson.parseAsync()
  } catch (error) {
    process.exitCode = await exitCodeOf(error)
  }
}

/** What the API server's answers mean to a script. */
const API_ERRORS: Record<number, CliErrorCode> = { 403: 'not-permitted', 404: 'not-found', 422: 'usage' }

/** Says what is to say about an error, once, and which code to end with. */
async function exitCodeOf(error: unknown): Promise<number> {
  if (error instanceof CliError) {
    say(error.message)
    return EXIT_CODES[error.code]
  }
  if (error instanceof Error && 'exitCode' in error && typeof error.exitCode === 'number') {
    return error.exitCode === 0 ? 0 : EXIT_CODES.usage
  }
  const { isApiError, isTransportError, KubeconfigError } = await import('@caisson/client')
  const unreached = isTransportError(error, 'unreachable', 'lost', 'silent')
  const next = unreached ? ": see that the cluster runs ('caisson status' tells of the embedded one)" : ''
  say(`${error instanceof Error ? error.message : String(error)}${next}`)
  if (process.env['CAISSON_DEBUG'] && error instanceof Error) console.error(indentedLines(error.stack ?? ''))
  if (unreached) return EXIT_CODES.unavailable
  if (error instanceof KubeconfigError && error.code === 'kubeconfig-missing') return EXIT_CODES['not-found']
  return EXIT_CODES[(isApiError(error) && API_ERRORS[error.code]) || 'failed']
}
