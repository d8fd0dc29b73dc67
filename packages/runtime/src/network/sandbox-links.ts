/** What joins sandboxes to this machine: for each a network namespace, a pair of virtual interfaces, and a route to its address. */
import { readdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { emptyWhereMissing } from '../empty-where-missing.ts'
import type { RunCommand } from '../tools/run-command.ts'
import { type Cidr, formatAddress } from './address-allocator.ts'
import { ipBatch } from './ip-command.ts'

const NAMESPACES = '/run/netns'

/** By the number of the address in its network. */
export interface SandboxLinks {
  /** Path of the network namespace. */
  namespaceOf(index: number): string
  build(cidr: Cidr, index: number): Promise<void>
  /** The inside of the namespace, from which a sentry takes its own. */
  configure(cidr: Cidr, index: number): Promise<void>
  /** No error where there is none. */
  tearDown(index: number): Promise<void>
  /** Numbers of those that are there and carry our name, whole or in part. */
  present(): Promise<number[]>
}

export interface SandboxLinksOptions {
  /** Of the state directory. */
  tag: string
  interfacePrefix: string
  /** Starts `ip`. */
  run: RunCommand
}

export function sandboxLinks({ tag, interfacePrefix, run }: SandboxLinksOptions): SandboxLinks {
  const namespacePrefix = `caisson-${tag}-`
  const suffix = (index: number): string => index.toString(16).padStart(4, '0')
  const namespaceName = (index: number): string => `${namespacePrefix}${suffix(index)}`
  const interfaceName = (index: number): string => `${interfacePrefix}${suffix(index)}`

  async function build(cidr: Cidr, index: number): Promise<void> {
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

  return {
    namespaceOf: (index) => join(NAMESPACES, namespaceName(index)),
    build,
    configure,
    async tearDown(index) {
      // The link first: a process that holds the namespace would keep it.
      await ipBatch([`link del ${interfaceName(index)}`, `netns del ${namespaceName(index)}`], { force: true, run })
    },
    async present() {
      const namespaces = await readdir(NAMESPACES).catch(emptyWhereMissing)
      const links = await readdir('/sys/class/net').catch(emptyWhereMissing)
      const suffixes = [...behind(namespacePrefix, namespaces), ...behind(interfacePrefix, links)]
      return [...new Set(suffixes.map((text) => Number.parseInt(text, 16)).filter((index) => index > 0))]
    },
  }
}

function behind(prefix: string, names: readonly string[]): string[] {
  return names.filter((name) => name.startsWith(prefix)).map((name) => name.slice(prefix.length))
}
