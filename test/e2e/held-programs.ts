/**
 * Programs that the cluster runs on this machine, with a script before each: where a test says so one stops before it has
 * done anything, or when it has done everything. So the cluster can be killed at a named step, and knows nothing of it.
 */
import { execFileSync } from 'node:child_process'
import {
  chmodSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { open } from 'node:fs/promises'
import { basename, join } from 'node:path'
import { setImmediate } from 'node:timers/promises'
import { expect } from 'vitest'
import { defaultToolsDirectory, findTool, installTools } from '../../packages/runtime/src/index.ts'
import { processStartTime } from '../../packages/runtime/src/monitor/process-identity.ts'

/** Those that are looked for in PATH, beside what runsc is told to do. */
const PROGRAMS = ['mount', 'ip', 'sync']

/**
 * runsc says that it is of a build whose sentry is not asked for anything directly: the cluster then has commands do all
 * that there is a command for, and each of them is a step.
 */
const UNKNOWN_BUILD = 's/20240729/20240730/'

/** Such as `runsc-checkpoint:after`. */
export type Step = `${string}:${'before' | 'after'}`

export interface HeldPrograms {
  /** What a cluster that uses them has in its environment. */
  env: Record<string, string>
  /** The next one that comes to a step stops there, unless another one has by then. */
  arm(step: Step): void
  /** Resolves once one has stopped. */
  reached(): Promise<void>
  /** Stops the next program of a name that a process starts in the middle of what it does; not one of those with a script. */
  interrupted(parent: number, name: string): Promise<void>
  /** Lets it go on; resolves at once where it is no more. */
  release(): Promise<void>
  /** Processes that have stopped and are still there. */
  stopped(): number[]
}

export async function holdPrograms(directory: string): Promise<HeldPrograms> {
  const tools = defaultToolsDirectory()
  await installTools(tools, { tools: ['runsc', 'busybox'] })
  const [own, path] = [join(directory, 'tools'), join(directory, 'path')]
  mkdirSync(join(own, 'bin'), { recursive: true })
  mkdirSync(path)
  const library = join(tools, 'lib')
  if (existsSync(library)) symlinkSync(library, join(own, 'lib'))
  for (const name of readdirSync(join(tools, 'bin')))
    if (name !== 'runsc') symlinkSync(join(tools, 'bin', name), join(own, 'bin', name))
  const runsc = await findTool('runsc', tools)
  writeScript(join(own, 'bin', 'runsc'), { directory, program: runsc?.path ?? '', name: '"runsc-$(subcommand "$@")"' })
  for (const name of PROGRAMS) {
    const program = execFileSync('sh', ['-c', 'command -v "$1"', 'sh', name], { encoding: 'utf8' }).trim()
    writeScript(join(path, name), { directory, program, name })
  }
  const [armed, reached, gate] = [join(directory, 'armed'), join(directory, 'reached'), join(directory, 'gate')]
  execFileSync('mkfifo', [gate])

  const stopped = (): number[] =>
    existsSync(reached)
      ? readFileSync(reached, 'utf8')
          .split('\n')
          .filter((line) => line !== '' && processStartTime(Number(line)) !== undefined)
          .map(Number)
      : []

  const childOf = (parent: number, name: string): number | undefined =>
    readFileSync(`/proc/${parent}/task/${parent}/children`, 'utf8')
      .split(' ')
      .map(Number)
      .find((pid) => pid > 0 && isAtWork(pid, name))

  return {
    env: { CAISSON_TOOLS_DIR: own, PATH: `${path}:${process.env['PATH']}` },
    arm(step) {
      rmSync(reached, { force: true })
      mkdirSync(armed, { recursive: true })
      writeFileSync(join(armed, step), '')
    },
    // Files have no event that comes when they are whole.
    reached: () => expect.poll(stopped, { interval: 5 }).not.toEqual([]),
    async interrupted(parent, name) {
      let pid = childOf(parent, name)
      // It may be over in a few milliseconds, also between being seen and being stopped: then it was another one's work.
      while (pid === undefined || !stops(pid)) {
        await setImmediate()
        pid = childOf(parent, name)
      }
      writeFileSync(reached, `${pid}\n`)
    },
    async release() {
      rmSync(armed, { recursive: true, force: true })
      if (stopped().length === 0) return
      // Both ways, so that it opens whether anybody waits or not.
      await using file = await open(gate, 'r+')
      await file.write('go\n')
      await expect.poll(stopped, { interval: 5 }).toEqual([])
    },
    stopped,
  }
}

/** False where it has ended. */
function stops(pid: number): boolean {
  try {
    return process.kill(pid, 'SIGSTOP')
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error
    return false
  }
}

/** Whether it is that program, and has a file open, which it was not started with. */
function isAtWork(pid: number, name: string): boolean {
  const open = `/proc/${pid}/fd`
  try {
    if (basename(readlinkSync(`/proc/${pid}/exe`)) !== name) return false
    return readdirSync(open).some((file) => /^\/(?!dev\/)/.test(readlinkSync(join(open, file))))
  } catch {
    return false
  }
}

/** The first who takes the file away is the one that stops. What is `before` becomes the program itself. */
function writeScript(
  path: string,
  { directory, program, name }: { directory: string; program: string; name: string },
): void {
  writeFileSync(
    path,
    `#!/bin/sh
subcommand() {
  kind=
  for word; do
    case $word in
      create | restore) [ "$kind" ] || kind=$word ;;
      pause | resume | checkpoint | run | delete) echo "$word"; return ;;
      # What is made ahead is nobody's yet.
      *.blank) [ "$kind" ] && kind=blank ;;
    esac
  done
  echo "$kind"
}
stop() {
  rm "${directory}/armed/$1" 2>/dev/null || return 0
  echo $$ >>"${directory}/reached"
  read -r _ <"${directory}/gate"
}
name=${name}
[ "$*" = --version ] && { ${program} --version | sed '${UNKNOWN_BUILD}'; exit; }
stop "$name:before"
[ -e "${directory}/armed/$name:after" ] || exec ${program} "$@"
${program} "$@"
status=$?
stop "$name:after"
exit $status
`,
  )
  chmodSync(path, 0o755)
}
