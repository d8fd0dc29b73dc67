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
  /** Its operands end with the command line of a sandbox: behind the first of them nothing is ours. */
  passesOn: boolean
}

/** Options that say which cluster and namespace is meant, and so whose sandboxes there are. */
const SCOPE = ['-n', '--namespace', '--context', '--data-dir']

/** A server could call a sandbox anything, and shells expand the words that they are to offer. */
const NAMES = 'ls -o name 2>/dev/null | sed -n "s,^sandbox/\\([a-z0-9.-]*\\)\\$,\\1,p"'

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
    words: [
      ...command.commands.map((below) => below.name()),
      ...command.registeredArguments.flatMap(({ argChoices }) => argChoices ?? []),
      ...options.flatMap(namesOf),
    ],
    values: options
      .filter(({ required, optional }) => required || optional)
      .map((option) => ({
        names: namesOf(option),
        choices: option.argChoices ?? [],
      })),
    sandboxes: path.length === 1 && OF_SANDBOXES.includes(command.name()),
    passesOn: command.registeredArguments.at(-1)?.name() === 'command',
  }
}

function visible(command: Command): Option[] {
  return command.options.filter((option) => !option.hidden && option.long !== '--version')
}

function namesOf({ short, long }: Option): string[] {
  return [short, long].filter((name) => name !== undefined)
}

/** Commands, as a shell's patterns: `'image ls'`. */
function quotedPaths(all: readonly Completed[]): string[] {
  return all.flatMap(({ path }) => (path.length > 0 ? [`'${path.join(' ')}'`] : []))
}

/** In the place of a command, of which none is called so. */
const OWN = '/own'

function fish(all: readonly Completed[]): string {
  const withValues = all.flatMap(({ path, values }) =>
    values.flatMap(({ names }) => names.map((name) => `'${[...path, name].join(' ')}'`)),
  )
  const lines = [
    `function __caisson_takes_value
  contains -- "$argv" ${withValues.join(' ')}
end
# The command that is being written; ${OWN} where what follows is a sandbox's own.
function __caisson_path
  set -l path
  set -l words (commandline -opc)
  set -e words[1]
  while set -q words[1]
    switch $words[1]
      case --
        set path ${OWN}
        break
      case '-*'
        __caisson_takes_value $path $words[1]; and set -e words[1]
      case '*'
        set -l next (string trim "$path $words[1]")
        if contains -- $next ${quotedPaths(all).join(' ')}
          set path $next
        else if contains -- "$path" ${quotedPaths(all.filter(({ passesOn }) => passesOn)).join(' ')}
          set path ${OWN}
          break
        end
    end
    set -e words[1]
  end
  echo "$path"
end
function __caisson_sandboxes
  set -l scope
  set -l words (commandline -opc)
  for index in (seq 2 (count $words))
    contains -- $words[$index] ${SCOPE.join(' ')}; and set -a scope $words[$index] $words[(math $index + 1)]
  end
  caisson $scope ${NAMES}
end`,
    'complete -c caisson -f',
    `complete -c caisson -n 'string match -q -- ${OWN} (__caisson_path)' -F`,
  ]
  for (const { path, words, values, sandboxes } of all) {
    const here = `string match -q -- "${path.join(' ')}" (__caisson_path)`
    lines.push(`complete -c caisson -n '${here}' -a '${words.join(' ')}'`)
    if (sandboxes) lines.push(`complete -c caisson -n '${here}' -a '(__caisson_sandboxes)'`)
    for (const { names, choices } of values) {
      const spelled = names.map((name) => (name.startsWith('--') ? `-l ${name.slice(2)}` : `-s ${name.slice(1)}`))
      const offered = choices.length > 0 ? `-x -a '${choices.join(' ')}'` : '-r -F'
      lines.push(`complete -c caisson -n '${here}' ${spelled.join(' ')} ${offered}`)
    }
  }
  return lines.join('\n')
}

function bash(all: readonly Completed[], zsh: boolean): string {
  const sandboxes = ` $(caisson "\${scope[@]}" ${NAMES})`
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
  const passingOn = quotedPaths(all.filter(({ passesOn }) => passesOn))
  return `${zsh ? 'autoload -U +X bashcompinit && bashcompinit\n' : ''}_caisson_values() {
  value=
  case "$1" in
${values.join('\n')}
  esac
}
_caisson() {
  # No variable is called path: that is where zsh looks for programs.
  local current=\${COMP_WORDS[COMP_CWORD]} words= value= at= word next index
  local -a scope
  scope=()
  for ((index = 1; index < COMP_CWORD; index++)); do
    word=\${COMP_WORDS[index]}
    case $word in
      --)
        value=1
        break ;;
      -*)
        case $word in
          ${SCOPE.join('|')}) scope+=("$word" "\${COMP_WORDS[index + 1]}") ;;
        esac
        _caisson_values "\${at:+$at }$word"
        if [ -n "$value" ] && ((index + 1 < COMP_CWORD)); then
          value=
          ((index++))
        fi
        continue ;;
    esac
    next="\${at:+$at }$word"
    case $next in
      ${quotedPaths(all).join('|')}) at=$next ;;
      *)
        # What follows is a sandbox's own: files are offered.
        case $at in
          ${passingOn.join('|')})
            words= value=1
            break ;;
        esac ;;
    esac
  done
  if [ -z "$value" ]; then
    case $at in
${words.join('\n')}
    esac
  fi
  COMPREPLY=($(compgen -W "$words" -- "$current"))
}
complete -o default -F _caisson caisson`
}
