import { readdirSync } from 'node:fs'
import { join } from 'node:path'
import { findStraySecrets, removeStraySecrets } from '@caisson/kubelet'
import {
  findForwardDrops,
  findStrayCgroups,
  findStrayNetworks,
  findStrayProcesses,
  findTool,
  installTools,
  type PackagedTool,
  probeRunsc,
  removeStrayCgroup,
  removeStrayNetwork,
  removeStrayProcesses,
  runscPlatform,
  type Tool,
  type ToolName,
  virtualisationProblem,
} from '@caisson/runtime'
import { CliError } from '../cli-error.ts'
import { readDaemonRecord } from '../cluster/daemon-record.ts'
import {
  type DataDirectory,
  dataDirectory,
  doctorFix,
  prepareDataDirectory,
  toolsDirectory,
} from '../cluster/data-directory.ts'
import { isNormalUser, userNamespaces } from '../cluster/user-namespace.ts'
import { type Finding, printFindings } from '../findings.ts'
import type { GlobalOptions, OutputFormat } from '../global-options.ts'
import { sayWaiting } from '../say-waiting.ts'
import { dataFinding } from './doctor-data.ts'

export interface DoctorOptions extends GlobalOptions {
  fix?: boolean
  output?: OutputFormat
}

/** Says what this machine can run, or, with `--context`, what another cluster has. Exit code 0 where sandboxes under gVisor work, 1 where something needed is missing. */
export async function doctor(options: DoctorOptions): Promise<void> {
  if (options.context !== undefined) {
    if (options.fix) throw new CliError('usage', '--fix is about this machine, and --context names another cluster')
    return (await import('./doctor-cluster.ts')).doctorCluster({ ...options, context: options.context })
  }
  const directory = dataDirectory(options.dataDir)
  const tools = toolsDirectory(directory)
  if (options.fix) {
    prepareDataDirectory(directory)
    const wanted: PackagedTool[] = ['runsc', 'busybox', 'nft']
    await installTools(tools, { tools: wanted, onProgress: (message) => console.error(message) })
    // Before the networks that they hold.
    for (const stray of findStrayProcesses()) {
      removeStrayProcesses(stray)
      console.error(`Ended what ran for ${stray.stateDirectory}, which is gone`)
    }
    for (const stray of await findStrayNetworks()) {
      await removeStrayNetwork(stray, tools)
      console.error(`Removed the network of ${stray.stateDirectory}, which is gone`)
    }
    for (const group of await findStrayCgroups()) {
      await removeStrayCgroup(group)
      console.error(`Removed the empty control group ${group}`)
    }
    for (const point of await findStraySecrets()) {
      await removeStraySecrets(point)
      console.error(`Removed what was in memory at ${point}`)
    }
  }
  const fix = doctorFix(directory)
  const findings = await findingsOfMachine(options, { tools, fix })
  printFindings(findings, options.output)
  const isFetched = findings.some(({ check, state }) => check === 'runsc' && state === 'missing')
  if (isFetched && !options.fix && !options.output) console.log(`\n'${fix}' fetches what can be fetched`)
}

async function findingsOfMachine(
  options: DoctorOptions,
  { tools, fix }: { tools: string; fix: string },
): Promise<Finding[]> {
  using _ = sayWaiting('a sandbox to start')
  const fetched = `'${fix}' fetches it`
  return [
    root(),
    await runsc(tools, fix),
    await tool('runc', tools, {
      purpose: 'Pods with runtimeClassName runc',
      remedy: "your distribution's package runc has it (apt-get install runc)",
    }),
    await tool('nft', tools, { purpose: 'the network of Pods', remedy: fetched }),
    await tool('busybox', tools, { purpose: 'the example image', remedy: fetched }),
    await kata(tools),
    await forwarding(tools),
    await strays(),
    await dataFinding(dataDirectory(options.dataDir)),
    cluster(options),
  ]
}

function root(): Finding {
  const about = { check: 'root', needed: true }
  if (!isNormalUser())
    return { ...about, state: 'ok', message: 'the node may mount, make networks and hold sandboxes to limits' }
  const namespaces = userNamespaces()
  if (!namespaces.possible)
    return { ...about, state: 'missing', message: `the node needs root, or user namespaces: ${namespaces.reason}` }
  const files = namespaces.allIds
    ? 'files of the users that /etc/subuid gives you'
    : 'no files but yours, since newuidmap (package uidmap) or lines in /etc/subuid and /etc/subgid are missing: who owns what in images and volumes is lost'
  const message = `as a normal user: gVisor and volumes, with ${files}; no pod network, published ports and Services, no limits of memory, processors and processes, no runc and crun. With root there is all of it`
  return { ...about, state: 'note', message }
}

async function runsc(tools: string, fix: string): Promise<Finding> {
  const found = await findTool('runsc', tools)
  if (!found)
    return {
      check: 'runsc',
      state: 'missing',
      needed: true,
      message: `gVisor is not there: '${fix}' fetches it`,
    }
  const about = { check: 'runsc', needed: true }
  const problem = await runscProblem(found)
  if (problem !== undefined) {
    const next = `'rm ${found.path}' and '${fix}' replace one that is broken, and in a container it needs the rights of --privileged`
    return { ...about, state: 'missing', message: `${found.path} runs no sandbox here: ${problem}: ${next}` }
  }
  const platform = await runscPlatform(found)
  return { ...about, state: 'ok', message: `gVisor ${found.version}, platform ${platform}, ${found.path}` }
}

/** Undefined also where nobody can try: what keeps a normal user from it is a finding of its own. */
async function runscProblem(runsc: Tool): Promise<string | undefined> {
  if (!isNormalUser()) return probeRunsc(runsc)
  const namespaces = userNamespaces()
  return namespaces.possible ? probeRunsc(runsc, ['unshare', ...namespaces.options, '--mount', '--']) : undefined
}

async function tool(
  name: ToolName,
  tools: string,
  { purpose, remedy }: { purpose: string; remedy: string },
): Promise<Finding> {
  const found = await findTool(name, tools)
  return found
    ? { check: name, state: 'ok', needed: false, message: `${found.version}, ${found.path}` }
    : { check: name, state: 'note', needed: false, message: `not there: needed for ${purpose}: ${remedy}` }
}

/** Virtual machines for Pods: what is missing first, since the rest is of no use without it. */
async function kata(tools: string): Promise<Finding> {
  const about = { check: 'kata', needed: false }
  const problem = virtualisationProblem()
  if (problem !== undefined) return { ...about, state: 'note', message: `no Kata: ${problem}; gVisor does not need it` }
  const names = ['containerd-shim-kata-v2', 'containerd-shim-kata-fc-v2'] as const
  const found = (await Promise.all(names.map((name) => findTool(name, tools)))).filter((tool) => tool !== undefined)
  if (found.length > 0) {
    const message = found.map(({ name, version, path }) => `${name} ${version}, ${path}`).join('; ')
    return { ...about, state: 'ok', message }
  }
  const remedy = `Kata Containers has them, and PATH has to lead to them`
  return {
    ...about,
    state: 'note',
    message: `not there: ${names.join(' and ')}, for Pods with runtimeClassName kata and kata-fc: ${remedy}`,
  }
}

/** A container engine beside us may have closed what the machine forwards. */
async function forwarding(tools: string): Promise<Finding> {
  const about = { check: 'forwarding', needed: false }
  const drops = await findForwardDrops(tools)
  if (!drops)
    return {
      ...about,
      state: 'note',
      message:
        'not known: whether somebody else’s firewall rules keep Pods from each other and the world can be looked at with nft, as root',
    }
  if (drops.length === 0)
    return { ...about, state: 'ok', message: 'nobody else’s firewall rules keep Pods from each other and the world' }
  const rules = "'iptables -I DOCKER-USER -i cs+ -j ACCEPT' and 'iptables -I DOCKER-USER -o cs+ -j ACCEPT'"
  const message = `what this machine forwards is dropped by ${drops.join(' and ')}, so that Pods reach neither each other nor the world: let interfaces cs* through there (with Docker: ${rules}); our own rules stay in force`
  return { ...about, state: 'note', message }
}

/** What clusters have left in the kernel whose data directory was deleted under them, or that were killed. */
async function strays(): Promise<Finding> {
  const [networks, groups, secrets] = await Promise.all([findStrayNetworks(), findStrayCgroups(), findStraySecrets()])
  const parts = networks.map(
    ({ stateDirectory, namespaces, interfaces }) =>
      `${namespaces.length} namespaces and ${interfaces.length} interfaces of ${stateDirectory}, which is gone`,
  )
  for (const { stateDirectory, reapers } of findStrayProcesses())
    parts.push(`${reapers.length} containers of ${stateDirectory}, which is gone`)
  if (groups.length > 0)
    parts.push(`${groups.length} empty control groups (${groups[0]}${groups.length > 1 ? ' …' : ''})`)
  for (const point of secrets) parts.push(`files of Secrets in memory at ${point}, whose data directory is gone`)
  return {
    check: 'strays',
    state: parts.length === 0 ? 'ok' : 'note',
    needed: false,
    message:
      parts.length === 0
        ? 'no network, container, control group and file of a Secret without an owner'
        : `${parts.join('; ')}: 'caisson doctor --fix' removes them`,
  }
}

function cluster(options: DoctorOptions): Finding {
  const directory = dataDirectory(options.dataDir)
  const record = readDaemonRecord(directory)
  if (record) return { check: 'cluster', state: 'ok', needed: false, message: `runs at ${record.server}` }
  const left = containersOf(directory)
  const orphans =
    left.length === 0
      ? ''
      : `; its process was killed under ${left.length} containers, ${left.filter((name) => name.endsWith('.blank')).length} of them made ahead and not used: 'caisson up' goes on with the rest, 'caisson down' removes all`
  return {
    check: 'cluster',
    state: 'note',
    needed: false,
    message: `does not run: 'caisson up --detach' starts it${orphans}`,
  }
}

function containersOf({ runtime }: DataDirectory): string[] {
  try {
    return readdirSync(join(runtime, 'containers'))
  } catch {
    // There never was one.
    return []
  }
}
