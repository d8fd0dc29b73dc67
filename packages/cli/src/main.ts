/** The command line. Each command's own module is loaded when it is called: starting `caisson` must cost little. */
import { Command, Option } from 'commander'
import { CliError, type CliErrorCode, EXIT_CODES } from './cli-error.ts'
import type { ApplyCommandOptions } from './commands/apply.ts'
import type { RouterCommandOptions } from './commands/router.ts'
import type { TemplateCreateOptions } from './commands/template.ts'
import { endProcess } from './end-process.ts'
import type { GlobalOptions } from './global-options.ts'
import { readOptionsBehindName } from './options-behind-name.ts'
import type { RunCommandOptions } from './run/run-options.ts'
import { VERSION } from './version.ts'

const OUTPUT = new Option('-o, --output <format>', 'how to print').choices(['json', 'yaml', 'name', 'wide'])

function program(): Command {
  const caisson = new Command('caisson')
    .description(
      'Every AI agent in its own watertight chamber: gVisor sandboxes behind the Kubernetes API, on one machine.',
    )
    .version(VERSION, '-V, --version')
    .enablePositionalOptions()
    .showSuggestionAfterError()
    .configureHelp({ sortSubcommands: false, showGlobalOptions: true })
  for (const option of globalOptions()) caisson.addOption(option)

  let given: GlobalOptions = {}
  caisson.hook('preAction', (_caisson, command) => {
    readOptionsBehindName(command)
    given = globalsOf(command)
    requireOwnCluster(command, given)
  })
  const globals = (): GlobalOptions => given

  caisson
    .command('run')
    .description('run a command in a fresh sandbox: its output is streamed, its exit code passed on')
    .usage('[options] [--] <command...>')
    .passThroughOptions()
    .option('-d, --detach', 'print the name and leave it running')
    .option('--name <name>', 'of the sandbox (default: a new one)')
    .option('--rm', 'remove the sandbox when the command ends (the default unless --detach or --keep)')
    .option('--keep', 'keep the sandbox after the command has ended')
    .option('-i, --interactive', 'pass standard input on')
    .option('-t, --tty', 'give it a terminal')
    .option('--image <image>', 'to run in', 'caisson.dev/host')
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
    .option('--memory <size>', 'memory that it may use at most: 512Mi, 4Gi, or none for no limit', '2Gi')
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
      await (await import('./commands/run.ts')).run({ ...globals(), ...options, command, given: givenOptions(self) })
      endProcess()
    })
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
      (await import('./commands/exec.ts')).exec({ ...globals(), ...options, name, command }),
    )
  caisson
    .command('claim')
    .description('claim a sandbox of a warm pool, run a command in it, and give it back')
    .usage('[options] <pool> [--] [command...]')
    .passThroughOptions()
    .option('--name <name>', 'of the claim (default: a new one)')
    .option('--keep', 'keep the sandbox; without a command its name is printed')
    .option('-i, --interactive', 'pass standard input on')
    .option('-t, --tty', 'give it a terminal')
    .addOption(repeated('-e, --env <name=value>', 'an environment variable, where the template lets claims set them'))
    .option('-c, --container <name>', 'of several containers, the one')
    .option('--timeout <duration>', 'stop it after this long: 30s, 5m, 1h')
    .argument('<pool>', 'to take it from')
    .argument('[command...]', 'and its arguments')
    .action(async (pool: string, command: string[], options: { env: string[] }) => {
      await (await import('./commands/claim.ts')).claim({ ...globals(), ...options, pool, command })
      endProcess()
    })
  const pools = caisson.command('pool').description('warm pools: sandboxes that are ready before anybody asks')
  pools
    .command('ls')
    .description('list pools')
    .option('-A, --all-namespaces', 'of every namespace')
    .addOption(OUTPUT)
    .action(async (options: object) => (await import('./commands/pool.ts')).poolList({ ...globals(), ...options }))
  pools
    .command('create')
    .description('make a pool of a template')
    .requiredOption('--template <name>', 'that its members are made from')
    .option('--replicas <number>', 'of members (default: 1)')
    .option('--min <number>', 'follow demand, with at least so many')
    .option('--max <number>', 'follow demand, with at most so many')
    .option('--idle-timeout <duration>', 'without a claim, after which it shrinks towards --min')
    .addOption(OUTPUT)
    .argument('<name>', 'of the pool')
    .action(async (name: string, options: { template: string }) =>
      (await import('./commands/pool.ts')).poolCreate({ ...globals(), ...options, name }),
    )
  pools
    .command('scale')
    .description('change how many members a pool has')
    .argument('<name>', 'of the pool')
    .argument('<replicas>', 'that it is to have')
    .action(async (name: string, replicas: string) =>
      (await import('./commands/pool.ts')).poolScale({ ...globals(), name, replicas }),
    )
  const templates = caisson.command('template').description('what pools and claims make sandboxes from')
  templates
    .command('ls')
    .description('list templates')
    .option('-A, --all-namespaces', 'of every namespace')
    .addOption(OUTPUT)
    .action(async (options: object) =>
      (await import('./commands/template.ts')).templateList({ ...globals(), ...options }),
    )
  templates
    .command('create')
    .description('make a template, with the defaults of caisson run; without a command its sandboxes wait for one')
    .usage('[options] <name> [--] [command...]')
    .passThroughOptions()
    .option('--image <image>', 'of the sandboxes', 'caisson.dev/host')
    .option('--runtime-class <name>', 'of the sandboxes (default: gVisor)')
    .addOption(repeated('-e, --env <name=value>', 'an environment variable'))
    .option('--claim-env', 'let claims set environment variables, of processes that start after the claim')
    .addOption(
      new Option('--network <kind>', 'as of caisson run').choices(['isolated', 'open', 'none']).default('isolated'),
    )
    .option('-w, --workdir <directory>', 'to start in')
    .option('--user <uid[:gid]>', 'to run as (default: nobody of the image that the sandbox has)')
    .option('--cpu <cores>', 'processors that one may use at most: 2, 500m (default: all)')
    .option('--memory <size>', 'memory that one may use at most: 512Mi, 4Gi, or none for no limit', '2Gi')
    .option('--storage <size>', 'what one may keep on the disk at most, or none for no limit', '10Gi')
    .addOption(OUTPUT)
    .argument('<name>', 'of the template')
    .argument('[command...]', 'that its sandboxes run, and its arguments')
    .action(async (name: string, command: string[], options: Omit<TemplateCreateOptions, 'name' | 'command'>) =>
      (await import('./commands/template.ts')).templateCreate({ ...globals(), ...options, name, command }),
    )
  caisson
    .command('port-forward')
    .description('carry connections to ports of loopback to a sandbox, until it is interrupted')
    .option('--address <address>', 'of loopback, to listen on', '127.0.0.1')
    .argument('<name>', 'of the sandbox')
    .argument('<ports...>', 'LOCAL:PORT, :PORT for a free local one, or PORT for the same')
    .action(async (name: string, ports: string[], options: { address: string }) =>
      (await import('./commands/port-forward.ts')).portForward({ ...globals(), ...options, name, ports }),
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
      (await import('./commands/logs.ts')).logs({ ...globals(), ...options, name }),
    )
  caisson
    .command('ls')
    .description('list sandboxes')
    .option('-A, --all-namespaces', 'of every namespace')
    .addOption(OUTPUT)
    .action(async (options: object) => (await import('./commands/ls.ts')).ls({ ...globals(), ...options }))
  caisson
    .command('rm')
    .description('remove sandboxes, and wait until they are gone')
    .option('--all', 'every sandbox of the namespace')
    .argument('[names...]', 'of the sandboxes')
    .action(async (names: string[], options: object) =>
      (await import('./commands/rm.ts')).rm({ ...globals(), ...options, names }),
    )
  caisson
    .command('suspend')
    .description('have a sandbox sleep: its memory is kept, its processes go on where they were when it is resumed')
    .argument('<name>', 'of the sandbox')
    .action(async (name: string) => (await import('./commands/suspend.ts')).suspend({ ...globals(), name }))
  caisson
    .command('resume')
    .description('have a suspended sandbox go on')
    .argument('<name>', 'of the sandbox')
    .action(async (name: string) => (await import('./commands/suspend.ts')).resume({ ...globals(), name }))
  caisson
    .command('snapshot')
    .description('keep a running sandbox, memory and all, as a SandboxSnapshot; it goes on')
    .option('--name <name>', 'of the snapshot (default: a new one)')
    .addOption(OUTPUT)
    .argument('<sandbox>', 'to keep')
    .action(async (sandbox: string, options: object) =>
      (await import('./commands/snapshot.ts')).snapshot({ ...globals(), ...options, sandbox }),
    )
  caisson
    .command('fork')
    .description('make running copies of a running sandbox, each with a name and an address of its own')
    .option('--count <number>', 'of copies', '1')
    .addOption(OUTPUT)
    .argument('<name>', 'of the sandbox')
    .action(async (name: string, options: { count: string }) =>
      (await import('./commands/fork.ts')).fork({ ...globals(), ...options, name }),
    )
  caisson
    .command('cp')
    .description(
      'copy files into or out of a sandbox: one of the two is NAME:PATH, the other a path here or - for a tar stream',
    )
    .argument('<from>')
    .argument('<to>')
    .option('-c, --container <name>', 'of several containers, the one')
    .action(async (from: string, to: string, options: object) =>
      (await import('./commands/cp.ts')).cp({ ...globals(), ...options, from, to }),
    )
  caisson
    .command('apply')
    .description('apply a file of Kubernetes objects, server-side')
    .requiredOption('-f, --filename <file>', 'YAML or JSON; - is standard input')
    .option('--wait', 'until each sandbox is Ready')
    .option('--timeout <duration>', 'how long to wait', '60s')
    .action(async (options: ApplyCommandOptions) =>
      (await import('./commands/apply.ts')).apply({ ...globals(), ...options }),
    )

  const image = caisson.command('image').description('images in the local store')
  image
    .command('pull')
    .description('get images from their registries, with the credentials of docker login')
    .argument('<names...>')
    .addOption(OUTPUT)
    .action(async (names: string[], options: object) =>
      (await import('./commands/image.ts')).imagePull({ ...globals(), ...options, names }),
    )
  image
    .command('import')
    .description('read a docker-archive or oci-archive')
    .argument('<file>')
    .option('--name <reference>', 'to call it, where the archive names none or another')
    .addOption(OUTPUT)
    .action(async (file: string, options: object) =>
      (await import('./commands/image.ts')).imageImport({ ...globals(), ...options, file }),
    )
  image
    .command('export')
    .alias('save')
    .description('write images as one oci-archive, which docker load reads too')
    .argument('<names...>')
    .option('-f, --file <file>', 'to write, which must not be there yet (default: standard output)', '-')
    .option('-o, --output <file>', 'the same, as docker save calls it')
    .action(async (names: string[], { file, output }: { file: string; output?: string }) =>
      (await import('./commands/image.ts')).imageExport({ ...globals(), names, file: output ?? file }),
    )
  image
    .command('push')
    .description('give an image to its registry, with the credentials of docker login; prints its digest there')
    .argument('<name>', 'in the local store')
    .argument('[to]', 'the name that it is to have there (default: the same)')
    .action(async (name: string, to: string | undefined) =>
      (await import('./commands/image.ts')).imagePush({ ...globals(), name, ...(to !== undefined && { to }) }),
    )
  image
    .command('inspect')
    .description('print all that is known of images')
    .argument('<names...>')
    .addOption(OUTPUT)
    .action(async (names: string[], options: object) =>
      (await import('./commands/image.ts')).imageInspect({ ...globals(), ...options, names }),
    )
  image
    .command('ls')
    .description('list images')
    .addOption(OUTPUT)
    .action(async (options: object) => (await import('./commands/image.ts')).imageList({ ...globals(), ...options }))
  image
    .command('rm')
    .description('remove images')
    .argument('<names...>')
    .action(async (names: string[]) => (await import('./commands/image.ts')).imageRemove({ ...globals(), names }))

  caisson
    .command('up')
    .description('start the embedded cluster')
    .option('-d, --detach', 'in the background; returns when it is ready')
    .option('--listen <address>', 'host:port of the API server; loopback only')
    .option('--fake-runtime', 'also offer RuntimeClass `fake`, whose Pods are Ready without a container')
    .option('--no-flat-group', 'serve templates, claims and pools in their own group alone, not in that of Sandbox')
    .addOption(new Option('--stop-when-idle <duration>', 'end when nothing has happened for so long').hideHelp())
    .action(async (options: object) => (await import('./commands/up.ts')).up({ ...globals(), ...options }))
  caisson
    .command('down')
    .description('stop the embedded cluster and every sandbox; objects and volumes stay')
    .option('--timeout <duration>', 'how long its process may take before it is killed', '60s')
    .action(async (options: { timeout: string }) =>
      (await import('./commands/down.ts')).down({ ...globals(), ...options }),
    )
  caisson
    .command('status')
    .description('whether the embedded cluster runs, and where')
    .addOption(OUTPUT)
    .action(async (options: object) => (await import('./commands/status.ts')).status({ ...globals(), ...options }))
  caisson
    .command('kubeconfig')
    .description('print the path of the kubeconfig of the embedded cluster')
    .action(async () => (await import('./commands/kubeconfig.ts')).kubeconfig(globals()))
  caisson
    .command('router')
    .description(
      'carry requests to sandboxes by name, as agent-sandbox’s router does, and serve their files and commands',
    )
    .option('--listen <address>', 'host:port, or unix:PATH', '127.0.0.1:8080')
    .option('--listen-admin <address>', 'of /metrics, /healthz and /readyz')
    .addOption(
      new Option('--authz-mode <mode>', 'who may: everybody who reaches it, users of the cluster, or holders of tokens')
        .choices(['allow-all', 'tokenreview', 'scoped-token'])
        .default('allow-all'),
    )
    .addOption(repeated('--audience <name>', 'that tokens of users are for'))
    .option('--scoped-token-keys <file>', 'the public keys of scoped tokens')
    .option('--scoped-token-secret <file>', 'the shared secret of scoped tokens of version 1')
    .option('--scoped-token-v1-until <time>', 'when that secret is not taken any more')
    .option('--listen-tls <address>', 'also within TLS')
    .option('--tls-cert <file>', 'its certificate, PEM; read again when it changes')
    .option('--tls-key <file>', 'its key, PEM')
    .option('--tls-client-ca <file>', 'whose client certificates are taken, PEM')
    .addOption(
      new Option('--tls-clients <mode>', 'whether clients show a certificate')
        .choices(['off', 'optional', 'required'])
        .default('off'),
    )
    .option('--path-routing-prefix <path>', 'also route PREFIX/NAMESPACE/ID/PORT/…, for browsers')
    .option('--proxy-timeout <duration>', 'how long silence is borne', '180s')
    .option('--upstream-max-retries <number>', 'of connections to a sandbox', '3')
    .option('--no-runtime-api', 'carry requests only: never execute anything in a sandbox')
    .option('--kubeconfig <file>', 'whose account it acts with (default: that of every command)')
    .addOption(new Option('--listen-door <address>', 'for the node of the embedded cluster').hideHelp())
    .addOption(new Option('--listen-reviewed <address>', 'for Pods of the embedded cluster').hideHelp())
    .addOption(new Option('--until-stdin-ends', 'end with whoever started it').hideHelp())
    .action(async (options: RouterCommandOptions) =>
      (await import('./commands/router.ts')).router({ ...globals(), ...options }),
    )
  caisson
    .command('controller')
    .description('run the controllers against any Kubernetes cluster, with the flags of agent-sandbox’s controller')
    .usage('[flags]')
    .helpOption(false)
    // Its flags are Go's, which it reads itself.
    .allowUnknownOption()
    .passThroughOptions()
    .argument('[flags...]', 'see --help')
    .action(async (words: string[]) => (await import('./commands/controller.ts')).controller(words))
  caisson
    .command('doctor')
    .description('say what this machine can run, or with --context what another cluster has, and what is missing')
    .option('--fix', 'fetch what is missing, without touching the system')
    .addOption(OUTPUT)
    .action(async (options: object) => (await import('./commands/doctor.ts')).doctor({ ...globals(), ...options }))
  caisson
    .command('version')
    .description('print the version')
    .addOption(OUTPUT)
    .action(async (options: object) => (await import('./commands/version.ts')).version(options))
  caisson
    .command('completion')
    .description('print a completion script: source <(caisson completion bash)')
    .addArgument(caisson.createArgument('<shell>', 'which shell').choices(['bash', 'zsh', 'fish']))
    .action(async (shell: string) => (await import('./commands/completion.ts')).completion(shell, caisson))
  for (const command of commandsBelow(caisson)) {
    // They are listed once, as those of `caisson`.
    for (const option of globalOptions())
      if (option.long !== '--context' || !isOfThisMachine(command)) command.addOption(option.hideHelp())
  }
  return caisson
}

/** In front of a command's name and behind it: `caisson -n x ls` and `caisson ls -n x`. */
function globalOptions(): Option[] {
  return [
    new Option('--data-dir <directory>', 'where the embedded cluster keeps everything (CAISSON_DATA_DIR)'),
    new Option('-n, --namespace <name>', 'the namespace to work in'),
    new Option('--context <name>', 'of the kubeconfig: work with that cluster'),
  ]
}

/** What a command was given, and where it was given nothing, what stands before it. */
function globalsOf(command: Command): GlobalOptions {
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

function isOfThisMachine(command: Command): boolean {
  return OF_THIS_MACHINE.has(nameOf(command).split(' ')[1] ?? '')
}

function requireOwnCluster(command: Command, { context, dataDir }: GlobalOptions): void {
  if (context === undefined) return
  if (isOfThisMachine(command))
    throw new CliError(
      'usage',
      `--context names another cluster, and '${nameOf(command)}' is about this machine: leave it out`,
    )
  if (dataDir !== undefined) throw new CliError('usage', '--context and --data-dir name two clusters: choose one')
}

/** Those that were written on the command line, by their long names. */
function givenOptions(command: Command): string[] {
  return command.options
    .filter((option) => command.getOptionValueSource(option.attributeName()) === 'cli')
    .map((option) => option.long ?? option.flags)
    .filter((name) => !globalOptions().some(({ long }) => long === name))
}

function commandsBelow(command: Command): Command[] {
  return command.commands.flatMap((below) => [below, ...commandsBelow(below)])
}

function repeated(flags: string, description: string): Option {
  const collect = (value: string, before: string[]): string[] => [...before, value]
  return new Option(flags, `${description}; may be repeated`).argParser(collect).default([], 'none')
}

/** What commander says, as everything else here is said: by whom, in one sentence, with the next step. */
function usageError(text: string, command: Command): string {
  const [said = '', suggestion] = text
    .trim()
    .replace(/^error: /, '')
    .split('\n')
  if (said.includes('Allowed choices')) return `caisson: ${said}\n`
  return `caisson: ${said.replace(/\.$/, '')}: ${suggestion?.replace(/^\((.*)\)$/, '$1') ?? `see '${nameOf(command)} --help'`}\n`
}

function nameOf(command: Command): string {
  return command.parent ? `${nameOf(command.parent)} ${command.name()}` : command.name()
}

async function main(): Promise<void> {
  const caisson = program()
  // commander's own errors are usage errors, which it prints.
  for (const command of [caisson, ...commandsBelow(caisson)]) {
    command.exitOverride().configureOutput({ outputError: (text, write) => write(usageError(text, command)) })
  }
  try {
    await caisson.parseAsync()
  } catch (error) {
    process.exitCode = await exitCodeOf(error)
  }
}

/** What the API server's answers mean to a script. */
const API_ERRORS: Record<number, CliErrorCode> = { 403: 'not-permitted', 404: 'not-found', 422: 'usage' }

/** Says what is to say about an error, once, and which code to end with. */
async function exitCodeOf(error: unknown): Promise<number> {
  if (error instanceof CliError) {
    console.error(`caisson: ${error.message}`)
    return EXIT_CODES[error.code]
  }
  if (error instanceof Error && 'exitCode' in error && typeof error.exitCode === 'number') {
    return error.exitCode === 0 ? 0 : EXIT_CODES.usage
  }
  console.error(`caisson: ${error instanceof Error ? error.message : String(error)}`)
  if (process.env['CAISSON_DEBUG'] && error instanceof Error) console.error(error.stack)
  const { isApiError } = await import('@caisson/client')
  return EXIT_CODES[(isApiError(error) && API_ERRORS[error.code]) || 'failed']
}

await main()
