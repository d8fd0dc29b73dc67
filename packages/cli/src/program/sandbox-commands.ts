/** Commands about sandboxes. */
import { type Command, Option } from 'commander'
import type { ApplyCommandOptions } from '../commands/apply.ts'
import { endProcess } from '../end-process.ts'
import { HOST_IMAGE } from '../host-image.ts'
import type { RunCommandOptions } from '../run/run-options.ts'
import { type Globals, givenOptions, OUTPUT, repeated } from './options.ts'

export function addSandboxCommands(caisson: Command, globals: Globals): void {
  addRun(caisson, globals)
  addInside(caisson, globals)
  addLists(caisson, globals)
  addSleep(caisson, globals)
  addFiles(caisson, globals)
}

function addRun(caisson: Command, globals: Globals): void {
  caisson
    .command('run')
    .description(
      'run a command in a fresh sandbox: its output is streamed, its exit code passed on; without one, that of the image',
    )
    .usage('[options] [--] [command...]')
    .passThroughOptions()
    .option('-d, --detach', 'print the name and leave it running')
    .option('--name <name>', 'of the sandbox (default: a new one)')
    .option(
      '--rm',
      'remove the sandbox when the command ends, with --detach too (the default unless --detach or --keep)',
    )
    .option('--keep', 'keep the sandbox after the command has ended')
    .option('-i, --interactive', 'pass standard input on')
    .option('-t, --tty', 'give it a terminal')
    .option('--image <image>', 'to run in', HOST_IMAGE)
    .addOption(
      new Option('--pull <when>', 'to get the image from its registry')
        .choices(['missing', 'always', 'never'])
        .default('missing'),
    )
    .option('--runtime-class <name>', 'of the sandbox (default: gVisor)')
    .addOption(repeated('-e, --env <name=value>', 'an environment variable'))
    .addOption(repeated('-v, --volume <host:path[:ro]>', 'a directory of this machine, mounted'))
    .addOption(
      new Option(
        '--network <kind>',
        'isolated: only what --publish, port-forward or a NetworkPolicy opens; open: as any Pod; none: no interface',
      )
        .choices(['isolated', 'open', 'none'])
        .default('isolated'),
    )
    .addOption(
      repeated('-p, --publish <host:port>', 'a port of this machine’s loopback that leads to one of the sandbox'),
    )
    .option('-w, --workdir <directory>', 'to start in')
    .option('--user <uid[:gid]>', 'to run as (default: nobody of the image that the sandbox has)')
    .option('--cpu <cores>', 'processors that it may use at most: 2, 500m (default: all)')
    .option('--memory <size>', 'memory that it may use at most: 512Mi, 4Gi, or none for no limit; 4Mi at least', '2Gi')
    .option('--storage <size>', 'what it may keep on the disk at most, or none for no limit', '10Gi')
    .option('--timeout <duration>', 'stop it after this long: 30s, 5m, 1h')
    .option(
      '--idle-timeout <duration>',
      'with --detach: have it sleep, with its memory, when nothing happens in it for this long; exec wakes it',
    )
    .option('--pool <name>', 'claim a sandbox of this pool for the command, and give it back')
    .option('--snapshot <name>', 'begin with this SandboxSnapshot, and run the command beside what goes on in it')
    .argument('[command...]', 'and its arguments')
    .action(async (command: string[], options: Omit<RunCommandOptions, 'command'>, self: Command) => {
      await (await import('../commands/run.ts')).run({ ...globals(), ...options, command, given: givenOptions(self) })
      endProcess()
    })
}

/** What is done in one that runs. */
function addInside(caisson: Command, globals: Globals): void {
  caisson
    .command('exec')
    .description('run a command in a running sandbox')
    .usage('[options] <name> [--] <command...>')
    .passThroughOptions()
    .option('-i, --interactive', 'pass standard input on')
    .option('-t, --tty', 'give it a terminal')
    .option('-c, --container <name>', 'of several containers, the one')
    .argument('<name>', 'of the sandbox')
    .argument('<command...>', 'and its arguments')
    .action(async (name: string, command: string[], options: object) =>
      (await import('../commands/exec.ts')).exec({ ...globals(), ...options, name, command }),
    )
  caisson
    .command('port-forward')
    .description('carry connections to ports of loopback to a sandbox, until it is interrupted')
    .option('--address <address>', 'of loopback, to listen on', '127.0.0.1')
    .argument('<name>', 'of the sandbox')
    .argument('<ports...>', 'LOCAL:PORT, :PORT for a free local one, or PORT for the same')
    .action(async (name: string, ports: string[], options: { address: string }) =>
      (await import('../commands/port-forward.ts')).portForward({ ...globals(), ...options, name, ports }),
    )
  caisson
    .command('logs')
    .description('print what a sandbox has written')
    .option('-f, --follow', 'go on as it writes more')
    .option('--tail <lines>', 'only the last lines')
    .option('--timestamps', 'each line with its time')
    .option('-c, --container <name>', 'of several containers, the one')
    .argument('<name>', 'of the sandbox')
    .action(async (name: string, options: object) =>
      (await import('../commands/logs.ts')).logs({ ...globals(), ...options, name }),
    )
}

/** Which there are, and an end to them. */
function addLists(caisson: Command, globals: Globals): void {
  caisson
    .command('ls')
    .description('list sandboxes')
    .option('-A, --all-namespaces', 'of every namespace')
    .addOption(OUTPUT)
    .action(async (options: object) => (await import('../commands/ls.ts')).ls({ ...globals(), ...options }))
  caisson
    .command('rm')
    .description('remove sandboxes, and wait until they are gone')
    .option('--all', 'every sandbox of the namespace')
    .argument('[names...]', 'of the sandboxes')
    .action(async (names: string[], options: object) =>
      (await import('../commands/rm.ts')).rm({ ...globals(), ...options, names }),
    )
}

/** What keeps their memory. */
function addSleep(caisson: Command, globals: Globals): void {
  caisson
    .command('suspend')
    .description('have a sandbox sleep: its memory is kept, its processes go on where they were when it is resumed')
    .argument('<name>', 'of the sandbox')
    .action(async (name: string) => (await import('../commands/suspend.ts')).suspend({ ...globals(), name }))
  caisson
    .command('resume')
    .description('have a suspended sandbox go on')
    .argument('<name>', 'of the sandbox')
    .action(async (name: string) => (await import('../commands/suspend.ts')).resume({ ...globals(), name }))
  caisson
    .command('snapshot')
    .description('keep a running sandbox, memory and all, as a SandboxSnapshot; it goes on')
    .option('--name <name>', 'of the snapshot (default: a new one)')
    .addOption(OUTPUT)
    .argument('<sandbox>', 'to keep')
    .action(async (sandbox: string, options: object) =>
      (await import('../commands/snapshot.ts')).snapshot({ ...globals(), ...options, sandbox }),
    )
  caisson
    .command('fork')
    .description('make running copies of a running sandbox, each with a name and an address of its own')
    .option('--count <number>', 'of copies', '1')
    .addOption(OUTPUT)
    .argument('<name>', 'of the sandbox')
    .action(async (name: string, options: { count: string }) =>
      (await import('../commands/fork.ts')).fork({ ...globals(), ...options, name }),
    )
}

/** What reads or writes files here. */
function addFiles(caisson: Command, globals: Globals): void {
  caisson
    .command('cp')
    .description(
      'copy files into or out of a sandbox: one of the two is NAME:PATH, the other a path here or - for a tar stream',
    )
    .argument('<from>')
    .argument('<to>')
    .option('-c, --container <name>', 'of several containers, the one')
    .action(async (from: string, to: string, options: object) =>
      (await import('../commands/cp.ts')).cp({ ...globals(), ...options, from, to }),
    )
  caisson
    .command('apply')
    .description('apply files of Kubernetes objects, server-side')
    .addOption(
      new Option('-f, --filename <file>', 'YAML or JSON; - is standard input; may be repeated')
        .argParser((file: string, before?: string[]) => [...(before ?? []), file])
        .makeOptionMandatory(),
    )
    .option('--wait', 'until each sandbox is Ready')
    .option('--timeout <duration>', 'how long to wait', '60s')
    .action(async (options: ApplyCommandOptions) =>
      (await import('../commands/apply.ts')).apply({ ...globals(), ...options }),
    )
}
