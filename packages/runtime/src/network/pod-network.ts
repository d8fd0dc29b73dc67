import { createHash } from 'node:crypto'
import { existsSync } from 'node:fs'
import { mkdir, readdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { emptyWhereMissing } from '../empty-where-missing.ts'
import { readRecord } from '../read-record.ts'
import { RuntimeError } from '../runtime-error.ts'
import type { RunCommand } from '../tools/run-command.ts'
import {
  type AddressAllocator,
  type Cidr,
  formatAddress,
  formatCidr,
  openAddressAllocator,
  overlaps,
  parseCidr,
  proberOf,
} from './address-allocator.ts'
import { flowEnder } from './end-flows.ts'
import { createFirewall, type Firewall } from './firewall.ts'
import { ipJson } from './ip-command.ts'
import type { NetworkPlace, PodNetwork, SandboxNetwork } from './network.ts'
import { claimPlace, registerNetwork, releasePlace, unregisterNetwork } from './network-register.ts'
import { replaceFile } from './replace-file.ts'
import { sandboxLinks } from './sandbox-links.ts'

export interface PodNetworkOptions {
  stateDirectory: string
  toolsDirectory: string
  /** Asked for when it is first needed. Undefined: the first of a few that the machine does not use. */
  cidr: (() => string | undefined) | undefined
  /** Starts `ip` for the network of a sandbox. */
  run: RunCommand
}

const CANDIDATES = Array.from({ length: 32 }, (_, index) => `10.${213 + index}.0.0/16`)
// Networks made ahead: taking one costs a millisecond, making one ten to twenty.
const READY = 3

/**
 * Pod networks by routing, not by a bridge: each sandbox has a pair of virtual interfaces and an address of its own to
 * which a host route leads. A bridge ends at 1,024 ports, needs rules against forged ARP, and shows every sandbox the
 * others' broadcasts; here the kernel's reverse path filter alone keeps a sandbox to its own address. What a sandbox may
 * reach is the firewall's to say, which lets nothing through until it is told to.
 */
export async function createPodNetwork(options: PodNetworkOptions): Promise<PodNetwork> {
  const { run } = options
  const directory = join(options.stateDirectory, 'network')
  await mkdir(directory, { recursive: true, mode: 0o700 })
  const tag = createHash('sha256').update(options.stateDirectory).digest('hex').slice(0, 6)
  const interfacePrefix = `cs${tag}`
  const links = sandboxLinks({ tag, interfacePrefix, run })
  let opened: Promise<OpenNetwork> | undefined
  let place: NetworkPlace | undefined
  const ready: number[] = []
  let filling: Promise<void> | undefined
  const closing = new AbortController()

  function open(): Promise<OpenNetwork> {
    opened ??= openNetwork().catch((error: unknown) => {
      opened = undefined
      throw error
    })
    return opened
  }

  async function openNetwork(): Promise<OpenNetwork> {
    const file = join(directory, 'network.json')
    const wanted = options.cidr?.()
    for await (const cidr of possibleRanges(file, wanted)) {
      // Before it is taken: whoever was killed between the two finds it again.
      await replaceFile(file, JSON.stringify({ cidr: formatCidr(cidr) }))
      const network = await openIn(cidr)
      if (!network) continue
      place = network.place
      return network
    }
    await unregisterNetwork(tag)
    throw new RuntimeError(
      'network',
      wanted === undefined
        ? `this machine uses every network from ${CANDIDATES[0]} to ${CANDIDATES.at(-1)}: take down a cluster that is not needed`
        : `another cluster of this machine has the network ${wanted}: take that one down, or give this node another podCIDR`,
    )
  }

  /** Undefined where another has the range. */
  async function openIn(cidr: Cidr): Promise<OpenNetwork | undefined> {
    const gateway = formatAddress(cidr.base + 1)
    const chosen = { range: formatCidr(cidr), gateway, prober: proberOf(cidr) }
    const firewall = await createFirewall({
      tag,
      interfacePrefix,
      cidr: chosen.range,
      gateway,
      prober: chosen.prober,
      toolsDirectory: options.toolsDirectory,
    })
    try {
      const allocator = await openAddressAllocator(join(directory, 'addresses'), cidr)
      // Before it is taken: what is not in the register is never found again where this directory goes.
      await registerNetwork(tag, { stateDirectory: options.stateDirectory, ...chosen })
      if (!(await claimPlace(tag, chosen))) {
        await firewall[Symbol.asyncDispose]()
        return undefined
      }
      await firewall.ensure()
      await forwardUplinks()
      return { cidr, place: chosen, allocator, firewall }
    } catch (error) {
      await firewall[Symbol.asyncDispose]()
      throw error
    }
  }

  async function make(network: OpenNetwork): Promise<number> {
    const index = await network.allocator.allocate()
    try {
      await links.build(network.cidr, index)
      return index
    } catch (error) {
      await links.tearDown(index)
      await network.allocator.release(index)
      throw error
    }
  }

  function fill(network: OpenNetwork): void {
    if (closing.signal.aborted) return
    // Later, and one at a time: the sandbox that just took one is starting and needs the machine more.
    filling ??= (async () => {
      while (ready.length < READY && !closing.signal.aborted) ready.push(await make(network))
    })()
      .catch(() => {})
      .finally(() => {
        filling = undefined
      })
  }

  const endFlows = flowEnder(join(options.stateDirectory, 'native'), closing.signal)
  const released = new Set<Promise<void>>()

  /** Leaves nothing of who had the address, whose links are gone, to whoever has it next, which comes about later. */
  async function release({ cidr, firewall, allocator }: OpenNetwork, index: number): Promise<void> {
    const address = formatAddress(cidr.base + index)
    // Nothing depends on it: whoever looks at counters begins with what they say then.
    await firewall.forget(address).catch(() => {})
    const done = endFlows(address)
      // Where nobody may end what the kernel follows, it does so itself after its time.
      .catch(() => {})
      .then(() => allocator.release(index))
      // Where the disk fails, the next process does it.
      .catch(() => {})
      .finally(() => released.delete(done))
    released.add(done)
  }

  const attached = new Map<string, SandboxNetwork & { index: number }>()

  function view({ cidr }: OpenNetwork, index: number): SandboxNetwork & { index: number } {
    return { ip: formatAddress(cidr.base + index), namespace: links.namespaceOf(index), index }
  }

  return {
    async open() {
      const network = await open()
      fill(network)
      return network.place
    },
    change: async (change) => (await open()).firewall.change(change),
    get: (sandboxId) => attached.get(sandboxId),
    place: () => place,
    async traffic() {
      if (attached.size === 0) return new Map()
      const byAddress = await (await open()).firewall.traffic()
      return new Map([...attached].map(([id, { ip }]) => [id, byAddress.get(ip) ?? 0]))
    },
    async attach(sandboxId, { signal, reserved } = {}) {
      const network = await open()
      signal?.throwIfAborted()
      const index = reserved?.index ?? ready.shift() ?? (await make(network))
      try {
        await network.allocator.claim(index, sandboxId)
      } catch (error) {
        // On a full disk nobody can be given it: it stays for the next, and goes when this ends.
        if (!reserved) ready.push(index)
        throw error
      }
      const result = view(network, index)
      attached.set(sandboxId, result)
      setTimeout(() => fill(network), 500).unref()
      return result
    },
    async reserve() {
      const network = await open()
      const index = ready.shift() ?? (await make(network))
      setTimeout(() => fill(network), 500).unref()
      return { index, namespace: links.namespaceOf(index) }
    },
    async unreserve({ index }) {
      await links.tearDown(index)
      await (await open()).allocator.release(index)
    },
    async renew(sandboxId) {
      const found = attached.get(sandboxId)
      if (found) await links.configure((await open()).cidr, found.index)
    },
    async detach(sandboxId) {
      const found = attached.get(sandboxId)
      if (!found) return
      const network = await open()
      await links.tearDown(found.index)
      attached.delete(sandboxId)
      await release(network, found.index)
    },
    async recover(sandboxIds) {
      const strays = await links.present()
      const used = (await readdir(join(directory, 'addresses')).catch(emptyWhereMissing)).length > 0
      // Nothing is set up on a machine where no sandbox ever had a network.
      if (!used && strays.length === 0) return
      const network = await open()
      for (const [index, owner] of network.allocator.owners()) {
        if (owner !== '' && sandboxIds.has(owner)) attached.set(owner, view(network, index))
      }
      const kept = new Set([...attached.values()].map(({ index }) => index))
      // After the machine was started anew there is nothing left but our files.
      for (const { index, namespace } of attached.values()) {
        if (existsSync(namespace)) continue
        await links.tearDown(index)
        await links.build(network.cidr, index)
      }
      for (const index of new Set([...strays, ...network.allocator.owners().keys()])) {
        if (kept.has(index)) continue
        await links.tearDown(index)
        await release(network, index)
      }
    },
    async close() {
      // What was made ahead is of no use to the next process, which cannot know whether it was finished.
      closing.abort()
      await filling
      const network = await opened?.catch(() => undefined)
      if (!network) return
      for (const index of ready.splice(0)) {
        await links.tearDown(index)
        await network.allocator.release(index)
      }
      await Promise.all(released)
      const { firewall, place } = network
      if (attached.size === 0) {
        await firewall.remove()
        await releasePlace(tag, place)
        await unregisterNetwork(tag)
      }
      await firewall[Symbol.asyncDispose]()
    },
  }
}

interface OpenNetwork {
  cidr: Cidr
  place: NetworkPlace
  allocator: AddressAllocator
  firewall: Firewall
}

/** The one chosen before, or the one asked for; where none was asked for, then those that nothing on this machine uses. */
async function* possibleRanges(file: string, wanted: string | undefined): AsyncGenerator<Cidr> {
  const own = (await readRecord<{ cidr: string }>(file))?.cidr ?? wanted
  if (own !== undefined) yield parseCidr(own)
  if (wanted === undefined) yield* await freeRanges()
}

async function freeRanges(): Promise<Cidr[]> {
  const routes = (await ipJson(['-4', 'route', 'show', 'table', 'all'])) as Array<{ dst?: string }>
  const used = routes.flatMap(({ dst }) => {
    const [address = '', prefix = '32'] = (dst ?? '').split('/')
    const octets = address.split('.').map(Number)
    if (octets.length !== 4 || octets.some(Number.isNaN)) return []
    return [{ base: octets.reduce((sum, octet) => sum * 256 + octet, 0), prefix: Number(prefix) }]
  })
  return CANDIDATES.map(parseCidr).filter((candidate) => !used.some((route) => overlaps(candidate, route)))
}

/** Lets replies from outside come back through the interfaces of the machine's default routes, and only those. */
async function forwardUplinks(): Promise<void> {
  const routes = (await ipJson(['-4', 'route', 'show', 'default'])) as Array<{ dev?: string }>
  for (const { dev } of routes) {
    if (dev && /^[^/\s]+$/.test(dev)) await writeFile(`/proc/sys/net/ipv4/conf/${dev}/forwarding`, '1').catch(() => {})
  }
}
