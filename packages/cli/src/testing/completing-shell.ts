/** For tests: what zsh and fish offer for a command line, asked of the very shells. */
import { execFile } from 'node:child_process'
import { existsSync, globSync, writeFileSync } from 'node:fs'
import { delimiter, join } from 'node:path'
import { promisify } from 'node:util'
import { defaultToolsDirectory, fetchPackages } from '@caisson/runtime'

/**
 * What it offers at the end of each of the lines, sorted.
 *
 * @param about `script` is what `caisson completion` printed, `directory` where it is asked: what is in it may be offered
 */
export type CompletingShell = (lines: readonly string[], about: Asked) => Promise<string[][]>

interface Asked {
  script: string
  directory: string
  env: NodeJS.ProcessEnv
}

/** Both, from this distribution's packages, which are kept with the tools. */
export async function completingShells(): Promise<Record<'zsh' | 'fish', CompletingShell>> {
  const root = join(defaultToolsDirectory(), 'shells')
  if (!existsSync(root)) await fetchPackages(root, ['zsh', 'fish'])
  const shell =
    (name: string, args: readonly string[]): CompletingShell =>
    async (lines, { script, directory, env }) => {
      const [program = ''] = globSync(['bin', 'usr/bin'].map((bin) => join(root, bin, name)))
      writeFileSync(join(directory, '.script'), script)
      const { stdout } = await promisify(execFile)(program, [...args, ...lines], {
        cwd: directory,
        env: {
          ...env,
          SHELL_PROGRAM: program,
          SHELL_ROOT: root,
          LD_LIBRARY_PATH: globSync(join(root, '{lib,usr/lib}/*-linux-gnu')).join(delimiter),
          HOME: directory,
          XDG_DATA_HOME: join(directory, '.data'),
        },
      })
      return offeredIn(stdout)
    }
  return { zsh: shell('zsh', ['-f', '-c', ZSH, 'zsh']), fish: shell('fish', ['--no-config', '-c', FISH]) }
}

const END = '--end--'

/** Behind a tab fish says what it is. */
function offeredIn(output: string): string[][] {
  const parts = output.split(`${END}\n`).slice(0, -1)
  return parts.map((part) => [...new Set(part.split('\n').flatMap((line) => line.split('\t')[0] || []))].sort())
}

const FISH = `source .script; for line in $argv; complete -C $line; echo ${END}; end`

/** Its own terminal, in which the key is pressed; what would be added is printed. */
const ZSH = String.raw`
module_path=($SHELL_ROOT/usr/lib/*/zsh/*(/))
zmodload zsh/zpty
zpty asked $SHELL_PROGRAM -f -i
zpty -w asked "module_path=($module_path)"
zpty -w asked "fpath=($SHELL_ROOT/usr/share/zsh/functions/*(/N) $SHELL_ROOT/usr/share/zsh/functions/*/*(/N))"
zpty -w asked 'PS1=; autoload -U compinit; compinit -D -u; source ./.script'
zpty -w asked 'compadd () { local -a all; local each; builtin compadd -O all "$@"; for each in $all; do print -r -- "offered:$each:"; done }'
zpty -w asked 'show () { _main_complete; print end-$((1 + 1)); compstate[insert]= }; zle -C show complete-word show; bindkey "^I" show; print ready-$((1 + 1))'
zpty -r asked out '*ready-2*'
for line in "$@"; do
  zpty -w -n asked "$line"$'\t'
  zpty -r asked out '*end-2*'
  print -r -- "$out" | tr -d '\r' | sed -n 's/.*offered:\(.*\):$/\1/p'
  print -r -- ${END}
  zpty -w -n asked $'\C-u'
done
`.replace('${END}', END)
