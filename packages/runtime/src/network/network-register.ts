/**
 * Which state directory each network of this machine belongs to: names in the kernel have only room for a hash of it. The
 * register goes with the machine's run, as the networks do.
 */
import { existsSync } from 'node:fs'
import { mkdir, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { runCommand } from '../tools/run-command.ts'
import { findTool, toolEnvironment } from '../tools/tools.ts'
import { parseCidr, proberOf } from './address-allocator.ts'
import { tableName } from './firewall.ts'
import { flowsTable } from './flows.ts'
import { ipBatch, ipJson } from './ip-command.ts'
import type { NetworkPlace } from './network.ts'
import { trafficTable } from './traffic.ts'

const REGISTER = '/run/caisson/networks'
const NAMESPACES = '/run/netns'
const TAG = /^[0-9a-f]{6}$/

interface Entry extends NetworkPlace {
  stateDirectory: string
}

export async function registerNetwork(tag: string, entry: Entry): Promise<void> {
  await mkdir(REGISTER, { recursive: true, mode: 0o700 })
  await writeFile(join(REGISTER, tag), JSON.stringify(entry), { mode: 0o600 })
}

export async function unregisterNetwork(tag: string): Promise<void> {
  await rm(join(REGISTER, tag), { force: true })
}

/** A network whose state directory is gone: nobody will ever take it down. */
export interface StrayNetwork {
  tag: string
  stateDirectory: string
  namespaces: readonly string[]
  interfaces: readonly string[]
}

/** Those of state directories that are still there are for their own daemon to find again, or for `down` to remove. */
export async function findStrayNetworks(): Promise<StrayNetwork[]> {
  const strays: StrayNetwork[] = []
  for (const tag of await listed(REGISTER)) {
    const entry = TAG.test(tag) ? await readEntry(tag) : undefined
    if (!entry || existsSync(entry.stateDirectory)) continue
    const namespaces = (await listed(NAMESPACES)).filter((name) => name.startsWith(`caisson-${tag}-`))
    const interfaces = (await listed('/sys/class/net')).filter((name) => name.startsWith(`cs${tag}`))
    strays.push({ tag, stateDirectory: entry.stateDirectory, namespaces, interfaces })
  }
  return strays
}

export async function removeStrayNetwork(
  { tag, namespaces, interfaces }: StrayNetwork,
  toolsDirectory: string,
): Promise<void> {
  const entry = await readEntry(tag)
  // The links first: a process that holds a namespace would keep them.
  await ipBatch([...interfaces.map((name) => `link del ${name}`), ...namespaces.map((name) => `netns del ${name}`)], {
    force: true,
  })
  if (entry) await releasePlace(tag, entry)
  const nft = await findTool('nft', toolsDirectory)
  if (nft) {
    const tables = [tableName(tag), trafficTable(tag), flowsTable(tag)]
    const stdin = tables.map((table) => `add table ${table}\ndelete table ${table}\n`).join('')
    await runCommand(nft.path, ['-f', '-'], { stdin, env: toolEnvironment(nft) })
  }
  await unregisterNetwork(tag)
}

const LINK_LOCAL = '169.254.0.0/16'

/**
 * Makes the range ours in the machine's routes. False, and nothing is changed, where another has it: the kernel gives an
 * address to one of those who add it, and its label says whom.
 */
export async function claimPlace(tag: string, { range, gateway, prober }: NetworkPlace): Promise<boolean> {
  try {
    // There before any sandbox is, so that what serves them can listen.
    await ipBatch([`addr add ${gateway}/32 dev lo label ${labelOf(tag)}`])
  } catch (error) {
    const owner = await loopbackLabel(gateway)
    if (owner === undefined) throw error
    if (owner !== labelOf(tag)) return false
  }
  const rules = (await ipJson(['-4', 'rule', 'show'])) as Array<{ src?: string; dst?: string }>
  const [src, dst] = [range.split('/')[0], LINK_LOCAL.split('/')[0]]
  const present = rules.some((rule) => rule.src === src && rule.dst === dst)
  await ipBatch([
    `route replace unreachable ${range}`,
    `addr replace ${prober}/32 dev lo`,
    // An earlier version's: it closed to policies too what the firewall closes unless one of them opens it.
    ...(present ? [`rule del from ${range} to ${LINK_LOCAL} prohibit`] : []),
  ])
  return true
}

const labelOf = (tag: string): string => `lo:cs${tag}`

/** Of an address that loopback has: the interface's name where nobody gave it one. */
async function loopbackLabel(address: string): Promise<string | undefined> {
  const links = (await ipJson(['-4', 'addr', 'show', 'dev', 'lo'])) as Array<{
    addr_info?: Array<{ local?: string; label?: string }>
  }>
  return links.flatMap(({ addr_info = [] }) => addr_info).find(({ local }) => local === address)?.label
}

/** Nothing is done where another has it. */
export async function releasePlace(tag: string, { range, gateway, prober }: NetworkPlace): Promise<void> {
  if ((await loopbackLabel(gateway)) !== labelOf(tag)) return
  await ipBatch(
    [
      `addr del ${gateway}/32 dev lo`,
      `addr del ${prober}/32 dev lo`,
      `route del unreachable ${range}`,
      `rule del from ${range} to ${LINK_LOCAL} prohibit`,
    ],
    { force: true },
  )
}

/** Tags of those whose state directory is there: a daemon has them, or finds them again. */
export async function ownedTags(): Promise<Set<string>> {
  const tags = await listed(REGISTER)
  const entries = await Promise.all(tags.map(readEntry))
  return new Set(tags.filter((_, index) => existsSync(entries[index]?.stateDirectory ?? '')))
}

async function readEntry(tag: string): Promise<Entry | undefined> {
  try {
    const entry = JSON.parse(await readFile(join(REGISTER, tag), 'utf8')) as Partial<Entry>
    const { stateDirectory, range, gateway } = entry
    if (!stateDirectory || !range || !gateway) return undefined
    return { stateDirectory, range, gateway, prober: proberOf(parseCidr(range)) }
  } catch {
    return undefined
  }
}

async function listed(directory: string): Promise<string[]> {
  return readdir(directory).catch(() => [])
}
