/** The command line: what it was given, and how it ends. */
import type { Command } from 'commander'
import { CliError, type CliErrorCode, EXIT_CODES } from './cli-error.ts'
import { nameOf } from './program/options.ts'
import { commandsBelow, program } from './program/program.ts'

/** What commander says, as everything else here is said: by whom, in one sentence, with the next step. */
function usageError(text: string, command: Command): string {
  const [said = '', suggestion] = text
    .trim()
    .replace(/^error: /, '')
    .split('\n')
  return `caisson: ${said.replace(/\.$/, '')}: ${suggestion?.replace(/^\((.*)\)$/, '$1') ?? `see '${nameOf(command)} --help'`}\n`
}

async function main(): Promise<void> {
  const caisson = program()
  // commander's own errors are usage errors, which it prints.
  for (const command of [caisson, ...commandsBelow(caisson)]) {
    command.exitOverride().configureOutput({ outputError: (text, write) => write(usageError(text, command)) })
  }
  try {
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
    console.error(`caisson: ${error.message}`)
    return EXIT_CODES[error.code]
  }
  if (error instanceof Error && 'exitCode' in error && typeof error.exitCode === 'number') {
    return error.exitCode === 0 ? 0 : EXIT_CODES.usage
  }
  console.error(`caisson: ${error instanceof Error ? error.message : String(error)}`)
  if (process.env['CAISSON_DEBUG'] && error instanceof Error) console.error(error.stack)
  const { isApiError } = await import('@caisson/client')
  return EXIT_CODES[(isApiError(error) && API_ERRORS[error.code]) || 'failed']
}

await main()
