/**
 * The command with which Caisson itself starts a container, to run it without Caisson: the same launcher (runsc's checks
 * covered), flags, root file system and mounts, but nothing that has runsc start faster.
 */
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { sandboxes } from '../../packages/cli/src/sandboxes.ts'
import { createClient, createHttpTransport, findConnection } from '../../packages/client/src/index.ts'
import type { Cluster } from '../e2e/fixture.ts'

export interface RuntimeCommand {
  program: string
  args: string[]
  env: Record<string, string>
}

/** What runsc is given besides where its files are. A change in the product fails the bench until it is made here too. */
const FLAGS = [
  '--platform=systrap',
  '--ignore-cgroups',
  '--overlay2=root:dir=DIRECTORY/overlay',
  '--network=sandbox',
  '--host-uds=none',
  '--host-fifo=none',
  '--net-disconnect-ok',
]

/** The descriptors that the launcher writes to. */
export const LAUNCHER_DESCRIPTORS = 8

/**
 * `args` in a container of its own, in the network namespace of the given path, for each call of what is returned. A
 * sandbox of the cluster stays, as the one whose files are used.
 */
export async function runtimeCommand(
  cluster: Cluster,
  { args, directory }: { args: string[]; directory: string },
): Promise<(id: string, networkNamespace: string) => RuntimeCommand> {
  await cluster.mustCaisson(['run', '--detach', '--name', 'model', '--', 'sleep', '86400'])
  await untilReady(cluster, 'model')
  const runtime = join(cluster.dataDirectory, 'runtime')
  const [container = ''] = readdirSync(join(runtime, 'containers'))
  const read = (file: string): unknown => JSON.parse(readFileSync(join(runtime, 'containers', container, file), 'utf8'))
  const { supervision } = read('supervision.json') as {
    supervision: { launch: string; command: { program: string; args: string[]; env: Record<string, string> } }
  }
  const { launch, command } = supervision
  const given = command.args.slice(command.args.indexOf('--log-format') + 2, command.args.indexOf('run'))
  const [runsc = ''] = command.args
  const flags = FLAGS.map((flag) => flag.replace('DIRECTORY', runtime))
  if (given.join(' ') !== flags.join(' '))
    throw new Error(`Caisson runs runsc with ${given.join(' ')}, and this bench with ${flags.join(' ')}`)

  const config = read('config.json') as {
    process: { args: string[] }
    linux: { namespaces: Array<{ type: string; path?: string }> }
  }
  config.process.args = args
  const network = config.linux.namespaces.find(({ type }) => type === 'network')
  if (!network?.path) throw new Error('the model sandbox has no network')
  const bundle = join(directory, 'bundle')
  mkdirSync(bundle, { recursive: true })
  return (id, networkNamespace) => {
    network.path = networkNamespace
    writeFileSync(join(bundle, 'config.json'), JSON.stringify(config))
    return {
      program: launch,
      args: [runsc, '--root', join(directory, 'root'), ...flags, 'run', '--bundle', bundle, id],
      env: command.env,
    }
  }
}

async function untilReady(cluster: Cluster, name: string): Promise<void> {
  await using transport = createHttpTransport(await findConnection({ kubeconfig: cluster.env['KUBECONFIG'] ?? '' }))
  const client = createClient(transport)
  const watch = client.watch(sandboxes, {
    namespace: 'default',
    fieldSelector: `metadata.name=${name}`,
    resourceVersion: '0',
  })
  for await (const event of watch) {
    if (event.type !== 'ADDED' && event.type !== 'MODIFIED') continue
    if (event.object.status?.conditions?.some(({ type, status }) => type === 'Ready' && status === 'True')) return
  }
  throw new Error(`${name} did not become Ready`)
}
