/** Commands about claims, warm pools and templates. */
import { type Command, Option } from 'commander'
import type { TemplateCreateOptions } from '../commands/template.ts'
import { endProcess } from '../end-process.ts'
import { HOST_IMAGE } from '../host-image.ts'
import { type Globals, OUTPUT, repeated } from './options.ts'

export function addPoolCommands(caisson: Command, globals: Globals): void {
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
      await (await import('../commands/claim.ts')).claim({ ...globals(), ...options, pool, command })
      endProcess()
    })
  const pools = caisson.command('pool').description('warm pools: sandboxes that are ready before anybody asks')
  pools
    .command('ls')
    .description('list pools')
    .option('-A, --all-namespaces', 'of every namespace')
    .addOption(OUTPUT)
    .action(async (options: object) => (await import('../commands/pool.ts')).poolList({ ...globals(), ...options }))
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
      (await import('../commands/pool.ts')).poolCreate({ ...globals(), ...options, name }),
    )
  pools
    .command('scale')
    .description('change how many members a pool has')
    .argument('<name>', 'of the pool')
    .argument('<replicas>', 'that it is to have')
    .action(async (name: string, replicas: string) =>
      (await import('../commands/pool.ts')).poolScale({ ...globals(), name, replicas }),
    )
  const templates = caisson.command('template').description('what pools and claims make sandboxes from')
  templates
    .command('ls')
    .description('list templates')
    .option('-A, --all-namespaces', 'of every namespace')
    .addOption(OUTPUT)
    .action(async (options: object) =>
      (await import('../commands/template.ts')).templateList({ ...globals(), ...options }),
    )
  templates
    .command('create')
    .description('make a template, with the defaults of caisson run; without a command its sandboxes wait for one')
    .usage('[options] <name> [--] [command...]')
    .passThroughOptions()
    .option('--image <image>', 'of the sandboxes', HOST_IMAGE)
    .option('--runtime-class <name>', 'of the sandboxes (default: gVisor)')
    .addOption(repeated('-e, --env <name=value>', 'an environment variable'))
    .option('--claim-env', 'let claims set environment variables, of processes that start after the claim')
    .addOption(
      new Option('--network <kind>', 'as of caisson run').choices(['isolated', 'open', 'none']).default('isolated'),
    )
    .option('-w, --workdir <directory>', 'to start in')
    .option('--user <uid[:gid]>', 'to run as (default: nobody of the image that the sandbox has)')
    .option('--cpu <cores>', 'processors that one may use at most: 2, 500m (default: all)')
    .option('--memory <size>', 'memory that one may use at most: 512Mi, 4Gi, or none for no limit; 4Mi at least', '2Gi')
    .option('--storage <size>', 'what one may keep on the disk at most, or none for no limit', '10Gi')
    .addOption(OUTPUT)
    .argument('<name>', 'of the template')
    .argument('[command...]', 'that its sandboxes run, and its arguments')
    .action(async (name: string, command: string[], options: Omit<TemplateCreateOptions, 'name' | 'command'>) =>
      (await import('../commands/template.ts')).templateCreate({ ...globals(), ...options, name, command }),
    )
}
