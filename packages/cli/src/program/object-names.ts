/** Names on the command line that no object can have: told before a cluster is asked, or even started. */
import { dns1123Label } from '@caisson/api'
import type { Command } from 'commander'
import { CliError } from '../cli-error.ts'
import type { GlobalOptions } from '../global-options.ts'
import { shownName } from '../new-name.ts'

/** Arguments that are names of objects. Those of `image` are references. */
const NAMES = new Set(['name', 'names', 'sandbox', 'pool'])

/** @throws CliError for the namespace, or for an argument of a command that has been parsed */
export function requireNames(command: Command, { namespace }: GlobalOptions): void {
  if (namespace !== undefined) requireNamespace(namespace)
  if (command.parent?.name() === 'image') return
  for (const [index, argument] of command.registeredArguments.entries()) {
    if (!NAMES.has(argument.name())) continue
    for (const name of [command.processedArgs[index] as string | string[] | undefined].flat())
      if (name !== undefined) requireName(name)
  }
}

function requireNamespace(name: string): void {
  if (dns1123Label(name).length === 0) return
  throw new CliError(
    'usage',
    `--namespace ${JSON.stringify(shownName(name))} is no name: use lower-case letters, digits and '-', a letter or digit first and last, at most 63 of them`,
  )
}

/** Of others that there cannot be, a server says that they are not there. These have no place in a request. */
function requireName(name: string): void {
  if (!['', '.', '..'].includes(name) && !/[/%\0]/.test(name)) return
  throw new CliError(
    'usage',
    `${JSON.stringify(shownName(name))} is no name: one has lower-case letters, digits, '-' and '.'`,
  )
}
