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
import { ipBatch, ipJson } from './ip-command.ts'
import type { NetworkPlace, PodNetwork, SandboxNetwork } from './network.ts'
import { claimPlace, registerNetwork, releasePlace, unregisterNetwork } from './network-register.ts'
import { replaceFile } from './replace-file.ts'

export interface PodNetworkOptions {
  stateDirectory: string
  toolsDirectory: string
  /** Asked for when it is first needed. Undefined: the first of a few that the machine does not use. */
  cidr: (() => string | undefined) | undefined
  /** Starts `ip` for the network of a sandbox. */
  run: RunCommand
}

const CANDIDATES = Array.from({ length: 32 }, (_, index) => `10.${213 + index}.0.0/16`)
const NAMESPACES = '/run/netns'
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

  const namespaceName = (index: number): string => `caisson-${tag}-${index.toString(16).padStart(4, '0')}`
  const interfaceName = (index: number): string => `${interfacePrefix}${index.toString(16).padStart(4, '0')}`

  async function build({ cidr }: OpenNetwork, index: number): Promise<void> {
    const [gateway, ip] = [formatAddress(cidr.base + 1), formatAddress(cidr.base + index)]
    const [link, namespace] = [interfaceName(index), namespaceName(index)]
    await ipBatch(
      [
        `netns add ${namespace}`,
        `link add ${link} type veth peer name eth0 netns ${namespace}`,
        `addr add ${gateway}/32 dev ${link}`,
      ],
      { run },
    )
    const sysctl = (family: string, name: string, value: number): Promise<void> =>
      writeFile(`/proc/sys/net/${family}/conf/${link}/${name}`, String(value))
    // What does not come from the address that leads back to it is dropped: no sandbox speaks for another.
    await sysctl('ipv4', 'rp_filter', 1)
    await sysctl('ipv4', 'forwarding', 1)
    await sysctl('ipv4', 'accept_redirects', 0)
    await sysctl('ipv4', 'send_redirects', 0)
    // The machine's own services on [::] would else be reachable by their link-local address.
    await sysctl('ipv6', 'disable_ipv6', 1).catch(() => {})
    await ipBatch([`link set ${link} up`, `route replace ${ip}/32 dev ${link} src ${gateway}`], { run })
    await configure(cidr, index)
  }

  /** The inside of the namespace, from which a sentry takes its own. */
  async function configure(cidr: Cidr, index: number): Promise<void> {
    const [gateway, ip] = [formatAddress(cidr.base + 1), formatAddress(cidr.base + index)]
    await ipBatch(
      [
        'link set lo up',
        `addr replace ${ip}/32 dev eth0`,
        'link set eth0 up',
        `route replace ${gateway} dev eth0 scope link`,
        `route replace default via ${gateway} dev eth0`,
      ],
      { namespace: namespaceName(index), run },
    )
  }

  async function tearDown(index: number): Promise<void> {
    // The link first: a process that holds the namespace would keep it.
    await ipBatch([`link del ${interfaceName(index)}`, `netns del ${namespaceName(index)}`], { force: true, run })
  }

  async function make(network: OpenNetwork): Promise<number> {
    const index = await network.allocator.allocate()
    try {
      await build(network, index)
      return index
    } catch (error) {
      await tearDown(index)
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
    return { ip: formatAddress(cidr.base + index), namespace: join(NAMESPACES, namespaceName(index)), index }
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
      return { index, namespace: view(network, index).namespace }
    },
    async unreserve({ index }) {
      await tearDown(index)
      await (await open()).allocator.release(index)
    },
    async renew(sandboxId) {
      const found = attached.get(sandboxId)
      if (found) await configure((await open()).cidr, found.index)
    },
    async detach(sandboxId) {
      const found = attached.get(sandboxId)
      if (!found) return
      const network = await open()
      await tearDown(found.index)
      attached.delete(sandboxId)
      await release(network, found.index)
    },
    async recover(sandboxIds) {
      const strays = await ownStrays(tag, interfacePrefix)
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
        await tearDown(index)
        await build(network, index)
      }
      for (const index of new Set([...strays, ...network.allocator.owners().keys()])) {
        if (kept.has(index)) continue
        await tearDown(index)
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
        await tearDown(index)
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

/** Numbers of networks that exist on this machine and carry our name. */
async function ownStrays(tag: string, interfacePrefix: string): Promise<number[]> {
  const namespaces = await readdir(NAMESPACES).catch(emptyWhereMissing)
  const links = await readdir('/sys/class/net').catch(emptyWhereMissing)
  const names = [
    ...namespaces
      .filter((name) => name.startsWith(`caisson-${tag}-`))
      .map((name) => name.slice(`caisson-${tag}-`.length)),
    ...links.filter((name) => name.startsWith(interfacePrefix)).map((name) => name.slice(interfacePrefix.length)),
  ]
  return [...new Set(names.map((name) => Number.parseInt(name, 16)).filter((index) => index > 0))]
}
