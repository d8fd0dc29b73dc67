import type { Command, Option } from 'commander'

/** Commands whose operands are sandboxes: their names come from `caisson ls -o name`. */
const OF_SANDBOXES = ['exec', 'logs', 'rm', 'cp', 'port-forward', 'suspend', 'resume', 'snapshot', 'fork']

interface Completed {
  /** Empty for `caisson` itself; `ls`, or `image ls`. */
  path: string[]
  /** What may follow: commands below it, and options. */
  words: string[]
  /** Of options that take one of a few values, these; of others, none are known. */
  values: Array<{ names: string[]; choices: readonly string[] }>
  sandboxes: boolean
}

/** Prints a script that completes commands, the commands below them, options, their values and the names of sandboxes. */
export function completion(shell: string, caisson: Command): void {
  const all = [
    { ...described(caisson, [], []), words: caisson.commands.map((command) => command.name()) },
    ...completed(caisson, visible(caisson)),
  ]
  console.log(shell === 'fish' ? fish(all) : bash(all, shell === 'zsh'))
}

/** Each command with its own options and the global ones. */
function completed(parent: Command, globals: readonly Option[], above: string[] = []): Completed[] {
  return parent.commands.flatMap((command) => {
    const path = [...above, command.name()]
    return [described(command, path, globals), ...completed(command, globals, path)]
  })
}

function described(command: Command, path: string[], globals: readonly Option[]): Completed {
  const taken = globals.filter(({ long }) => command.options.some((own) => own.long === long))
  const options = [...visible(command), ...taken]
  return {
    path,
    words: [...command.commands.map((below) => below.name()), ...options.flatMap(namesOf)],
    values: options
      .filter(({ required, optional }) => required || optional)
      .map((option) => ({
        names: namesOf(option),
        choices: option.argChoices ?? [],
      })),
    sandboxes: path.length === 1 && OF_SANDBOXES.includes(command.name()),
  }
}

function visible(command: Command): Option[] {
  return command.options.filter((option) => !option.hidden && option.long !== '--version')
}

function namesOf({ short, long }: Option): string[] {
  return [short, long].filter((name) => name !== undefined)
}

function fish(all: readonly Completed[]): string {
  const lines = ['complete -c caisson -f']
  const sandboxes = '(caisson ls -o name 2>/dev/null | string replace sandbox/ "")'
  for (const { path, words, values, sandboxes: ofSandboxes } of all) {
    const [first, second] = path
    const condition = `test (count (commandline -opc)) -ge ${path.length + 1}; and test (commandline -opc)[2] = ${first}`
    const below = second === undefined ? condition : `${condition}; and test (commandline -opc)[3] = ${second}`
    const here = first === undefined ? '__fish_use_subcommand' : below
    lines.push(`complete -c caisson -n '${here}' -a '${words.join(' ')}'`)
    if (ofSandboxes) lines.push(`complete -c caisson -n '${here}' -a '${sandboxes}'`)
    for (const { names, choices } of values) {
      const spelled = names.map((name) => (name.startsWith('--') ? `-l ${name.slice(2)}` : `-s ${name.slice(1)}`))
      const offered = choices.length > 0 ? `-x -a '${choices.join(' ')}'` : '-r -F'
      lines.push(`complete -c caisson -n '${here}' ${spelled.join(' ')} ${offered}`)
    }
  }
  return lines.join('\n')
}

function bash(all: readonly Completed[], zsh: boolean): string {
  const sandboxes = ' $(caisson ls -o name 2>/dev/null | sed s,^sandbox/,,)'
  const words = all.map(
    ({ path, words: own, sandboxes: ofSandboxes }) =>
      `    '${path.join(' ')}') words="${own.join(' ')}${ofSandboxes ? sandboxes : ''}" ;;`,
  )
  const values = all.flatMap(({ path, values: own }) =>
    own.map(({ names, choices }) => {
      const patterns = names.map((name) => `'${[...path, name].join(' ')}'`)
      // Of others nothing is known but that no command and no option stands there: files are offered.
      return `    ${patterns.join('|')}) words="${choices.join(' ')}" value=1 ;;`
    }),
  )
  const known = all.flatMap(({ path }) => (path.length > 0 ? [`'${path.join(' ')}'`] : []))
  return `${zsh ? 'autoload -U +X bashcompinit && bashcompinit\n' : ''}_caisson_values() {
  value=
  case "$1" in
${values.join('\n')}
  esac
}
_caisson() {
  local current=\${COMP_WORDS[COMP_CWORD]} words= value= path= word next index
  for ((index = 1; index < COMP_CWORD; index++)); do
    word=\${COMP_WORDS[index]}
    case $word in
      -*)
        _caisson_values "\${path:+$path }$word"
        if [ -n "$value" ] && ((index + 1 < COMP_CWORD)); then
          value=
          ((index++))
        fi
        continue ;;
    esac
    next="\${path:+$path }$word"
    case $next in
      ${known.join('|')}) path=$next ;;
    esac
  done
  if [ -z "$value" ]; then
    case $path in
${words.join('\n')}
    esac
  fi
  COMPREPLY=($(compgen -W "$words" -- "$current"))
}
complete -o default -F _caisson caisson`
}
