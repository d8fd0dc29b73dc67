import type { Command } from 'commander'

/** Prints a script that completes commands and options; names of sandboxes come from `caisson ls -o name`. */
export function completion(shell: string, caisson: Command): void {
  const commands = caisson.commands.map((command) => command.name()).join(' ')
  const options = (command: Command): string =>
    command.options
      .flatMap((option) => [option.short, option.long])
      .filter(Boolean)
      .join(' ')
  const cases = caisson.commands.map((command) => {
    const words = [...command.commands.map((below) => below.name()), options(command)].join(' ').trim()
    return {
      name: command.name(),
      words,
      sandboxes: ['exec', 'logs', 'rm', 'cp', 'port-forward', 'suspend', 'resume', 'snapshot', 'fork'].includes(
        command.name(),
      ),
    }
  })
  if (shell === 'fish') {
    console.log(`complete -c caisson -f`)
    console.log(`complete -c caisson -n __fish_use_subcommand -a '${commands}'`)
    for (const { name, words, sandboxes } of cases) {
      if (words) console.log(`complete -c caisson -n '__fish_seen_subcommand_from ${name}' -a '${words}'`)
      if (sandboxes)
        console.log(
          `complete -c caisson -n '__fish_seen_subcommand_from ${name}' -a '(caisson ls -o name 2>/dev/null | string replace sandbox/ "")'`,
        )
    }
    return
  }
  const names = '$(caisson ls -o name 2>/dev/null | sed s,^sandbox/,,)'
  if (shell === 'zsh') console.log('autoload -U +X bashcompinit && bashcompinit')
  console.log(`_caisson() {
  local current=\${COMP_WORDS[COMP_CWORD]} words="${commands}"
  if [ "$COMP_CWORD" -gt 1 ]; then
    case \${COMP_WORDS[1]} in
${cases.map(({ name, words, sandboxes }) => `      ${name}) words="${words}${sandboxes ? ` ${names}` : ''}" ;;`).join('\n')}
    esac
  fi
  COMPREPLY=($(compgen -W "$words" -- "$current"))
}
complete -o default -F _caisson caisson`)
}
