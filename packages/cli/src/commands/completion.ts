import type { Command } from 'commander'

/** Commands whose operands are sandboxes: their names come from `caisson ls -o name`. */
const OF_SANDBOXES = ['exec', 'logs', 'rm', 'cp', 'port-forward', 'suspend', 'resume', 'snapshot', 'fork']

interface Completed {
  /** `ls`, or `image ls`. */
  path: string[]
  /** What may follow: commands below it, and options. */
  words: string[]
  sandboxes: boolean
}

/** Prints a script that completes commands, the commands below them, options and the names of sandboxes. */
export function completion(shell: string, caisson: Command): void {
  const names = caisson.commands.map((command) => command.name())
  const all = completed(caisson, optionsOf(caisson))
  console.log(shell === 'fish' ? fish(names, all) : bash(names, all, shell === 'zsh'))
}

/** Each command with its own options and the global ones. */
function completed(parent: Command, globals: string[], above: string[] = []): Completed[] {
  return parent.commands.flatMap((command) => {
    const path = [...above, command.name()]
    const taken = globals.filter((name) => command.options.some(({ short, long }) => name === short || name === long))
    const words = [...command.commands.map((below) => below.name()), ...optionsOf(command), ...taken]
    const sandboxes = above.length === 0 && OF_SANDBOXES.includes(command.name())
    return [{ path, words, sandboxes }, ...completed(command, globals, path)]
  })
}

function optionsOf(command: Command): string[] {
  return command.options
    .filter((option) => !option.hidden && option.long !== '--version')
    .flatMap(({ short, long }) => [short, long].filter((name) => name !== undefined))
}

function fish(names: string[], all: Completed[]): string {
  const lines = ['complete -c caisson -f', `complete -c caisson -n __fish_use_subcommand -a '${names.join(' ')}'`]
  const sandboxes = '(caisson ls -o name 2>/dev/null | string replace sandbox/ "")'
  for (const { path, words, sandboxes: ofSandboxes } of all) {
    const [first, second] = path
    const condition = `test (count (commandline -opc)) -ge ${path.length + 1}; and test (commandline -opc)[2] = ${first}`
    const here = second === undefined ? condition : `${condition}; and test (commandline -opc)[3] = ${second}`
    lines.push(`complete -c caisson -n '${here}' -a '${words.join(' ')}'`)
    if (ofSandboxes) lines.push(`complete -c caisson -n '${here}' -a '${sandboxes}'`)
  }
  return lines.join('\n')
}

function bash(names: string[], all: Completed[], zsh: boolean): string {
  const sandboxes = ' $(caisson ls -o name 2>/dev/null | sed s,^sandbox/,,)'
  const cases = (depth: number): string =>
    all
      .filter(({ path }) => path.length === depth)
      .map(
        ({ path, words, sandboxes: ofSandboxes }) =>
          `      '${path.join(' ')}') words="${words.join(' ')}${ofSandboxes ? sandboxes : ''}" ;;`,
      )
      .join('\n')
  return `${zsh ? 'autoload -U +X bashcompinit && bashcompinit\n' : ''}_caisson() {
  local current=\${COMP_WORDS[COMP_CWORD]} words="${names.join(' ')}"
  if [ "$COMP_CWORD" -gt 1 ]; then
    case \${COMP_WORDS[1]} in
${cases(1)}
    esac
  fi
  if [ "$COMP_CWORD" -gt 2 ]; then
    case "\${COMP_WORDS[1]} \${COMP_WORDS[2]}" in
${cases(2)}
    esac
  fi
  COMPREPLY=($(compgen -W "$words" -- "$current"))
}
complete -o default -F _caisson caisson`
}
