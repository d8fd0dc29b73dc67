/** Options that commands share, and those that every command has. */
import { type Command, Option } from 'commander'
import { CliError } from '../cli-error.ts'
import type { GlobalOptions } from '../global-options.ts'

/** Those that the command was given which is being carried out. */
export type Globals = () => GlobalOptions

export const OUTPUT = new Option('-o, --output <format>', 'how to print').choices(['json', 'yaml', 'name', 'wide'])

/** In front of a command's name and behind it: `caisson -n x ls` and `caisson ls -n x`. */
export function globalOptions(): Option[] {
  return [
    new Option('--data-dir <directory>', 'where the embedded cluster keeps everything (CAISSON_DATA_DIR)'),
    new Option('-n, --namespace <name>', 'the namespace to work in'),
    new Option('--context <name>', 'of the kubeconfig: work with that cluster'),
  ]
}

/** What a command was given, and where it was given nothing, what stands before it. */
export function globalsOf(command: Command): GlobalOptions {
  const { dataDir, namespace, context } = command.opts<GlobalOptions>()
  return {
    ...(command.parent && globalsOf(command.parent)),
    ...(dataDir !== undefined && { dataDir }),
    ...(namespace !== undefined && { namespace }),
    ...(context !== undefined && { context }),
  }
}

/** What is about this machine and its embedded cluster alone. */
const OF_THIS_MACHINE = new Set(['up', 'down', 'status', 'kubeconfig', 'image', 'version', 'completion'])

/** What others are served by for as long as it runs. */
const SERVERS = new Set(['caisson up', 'caisson router', 'caisson controller', 'caisson node join'])

export function isServer(command: Command): boolean {
  return SERVERS.has(nameOf(command))
}

export function isOfThisMachine(command: Command): boolean {
  return OF_THIS_MACHINE.has(nameOf(command).split(' ')[1] ?? '')
}

export function requireOwnCluster(command: Command, { context, dataDir }: GlobalOptions): void {
  if (context === undefined) return
  if (isOfThisMachine(command))
    throw new CliError(
      'usage',
      `--context names another cluster, and '${nameOf(command)}' is about this machine: leave it out`,
    )
  // A node is a directory of this machine, and of another cluster.
  if (dataDir !== undefined && command.parent?.name() !== 'node')
    throw new CliError('usage', '--context and --data-dir name two clusters: choose one')
}

/** Those that were written on the command line, by their long names. */
export function givenOptions(command: Command): string[] {
  return command.options
    .filter((option) => command.getOptionValueSource(option.attributeName()) === 'cli')
    .map((option) => option.long ?? option.flags)
    .filter((name) => !globalOptions().some(({ long }) => long === name))
}

export function repeated(flags: string, description: string): Option {
  const collect = (value: string, before: string[]): string[] => [...before, value]
  return new Option(flags, `${description}; may be repeated`).argParser(collect).default([], 'none')
}

/** With those above it: `caisson image pull`. */
export function nameOf(command: Command): string {
  return command.parent ? `${nameOf(command.parent)} ${command.name()}` : command.name()
}
