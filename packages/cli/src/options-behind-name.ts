/** `caisson exec NAME -t sh`: between a name and the command behind it stand options of `caisson`. */
import type { Command } from 'commander'
import { CliError } from './cli-error.ts'

/** Of a command line such as `NAME [command...]`, what is to be executed: its last argument. */
const EXECUTED = 'command'

/**
 * Reads options that stand behind a command's name-like arguments, in front of the first word of what is to be executed or
 * of `--`. Without it such an option would be executed. Of a command without a name nothing is read: what stands behind
 * its own options is what is to be executed.
 *
 * @param command has been parsed; its options and processed arguments are changed
 * @throws CliError `usage` for an option that there is not
 */
export function readOptionsBehindName(command: Command): void {
  const at = command.registeredArguments.length - 1
  if (at < 1 || command.registeredArguments[at]?.name() !== EXECUTED) return
  const words = command.processedArgs[at] as string[]
  if (!words[0]?.startsWith('-')) return
  const { operands, unknown } = command.parseOptions(words)
  const [option] = unknown
  if (option === '-h' || option === '--help') command.help()
  if (option !== undefined)
    throw new CliError(
      'usage',
      `caisson ${command.name()} has no option ${option}: a command that begins like one stands behind --`,
    )
  if (operands.length === 0 && command.registeredArguments[at].required)
    throw new CliError('usage', 'no command given: put one behind --')
  command.processedArgs[at] = operands
}
