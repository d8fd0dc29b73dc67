/** The commands and their options. Each command's own module is loaded when it is called: starting `caisson` must cost little. */
import { Command, Help, type Option } from 'commander'
import type { GlobalOptions } from '../global-options.ts'
import { readOptionsBehindName } from '../options-behind-name.ts'
import { bearFailedOutput } from '../output.ts'
import { VERSION } from '../version.ts'
import { addClusterCommands } from './cluster-commands.ts'
import { addImageCommands } from './image-commands.ts'
import { addNodeCommands } from './node-commands.ts'
import { globalOptions, globalsOf, isOfThisMachine, isServer, requireOwnCluster } from './options.ts'
import { addPoolCommands } from './pool-commands.ts'
import { addSandboxCommands } from './sandbox-commands.ts'

export function program(): Command {
  const caisson = new Command('caisson')
    .description(
      'Every AI agent in its own watertight chamber: gVisor sandboxes behind the Kubernetes API, on one machine.',
    )
    .version(VERSION, '-V, --version')
    .enablePositionalOptions()
    .showSuggestionAfterError()
    .configureHelp({
      sortSubcommands: false,
      showGlobalOptions: true,
      visibleGlobalOptions(command) {
        return Help.prototype.visibleGlobalOptions.call(this, command).filter((option) => takes(command, option))
      },
    })
  for (const option of globalOptions()) caisson.addOption(option)

  let given: GlobalOptions = {}
  caisson.hook('preAction', async (_caisson, command) => {
    readOptionsBehindName(command)
    given = globalsOf(command)
    requireOwnCluster(command, given)
    if (given.namespace !== undefined || command.registeredArguments.length > 0)
      (await import('./object-names.ts')).requireNames(command, given)
    if (isServer(command)) bearFailedOutput()
  })
  const globals = (): GlobalOptions => given

  addSandboxCommands(caisson, globals)
  addPoolCommands(caisson, globals)
  addImageCommands(caisson, globals)
  addClusterCommands(caisson, globals)
  addNodeCommands(caisson, globals)
  for (const command of commandsBelow(caisson)) {
    // They are listed once, as those of `caisson`.
    for (const option of globalOptions()) if (takes(command, option)) command.addOption(option.hideHelp())
  }
  return caisson
}

/** Whether the command can do with an option that there is for all. */
function takes(command: Command, { long }: Option): boolean {
  return long !== '--context' || !isOfThisMachine(command)
}

export function commandsBelow(command: Command): Command[] {
  return command.commands.flatMap((below) => [below, ...commandsBelow(below)])
}
