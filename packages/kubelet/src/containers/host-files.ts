/** The files that every container finds at /etc: hosts, hostname and resolv.conf. */
import type { PodObject } from '@caisson/client'
import { specOf } from '../pods/observed-pod.ts'

const HOSTNAME_LIMIT = 63
const NAMESERVER_LIMIT = 3
const SEARCH_LIMIT = 32

/** How names are resolved in the cluster, and on this machine. */
export interface NodeDns {
  /** `cluster.local` */
  clusterDomain: string
  /** Addresses of the cluster's own name servers; none where it has none. */
  clusterServers: readonly string[]
  /** This machine's resolv.conf. */
  hostConfig: string
}

/** The first label of the Pod's name in its own eyes. */
export function podHostname(pod: PodObject): string {
  const name = specOf(pod).hostname || (pod.metadata.name ?? '')
  return name.slice(0, HOSTNAME_LIMIT).replace(/[-.]+$/, '')
}

export function hostsFile(
  pod: PodObject,
  { podIp, clusterDomain }: { podIp: string | undefined; clusterDomain: string },
): string {
  const hostname = podHostname(pod)
  const { subdomain, hostAliases = [] } = specOf(pod)
  const qualified = subdomain ? `${hostname}.${subdomain}.${pod.metadata.namespace}.svc.${clusterDomain}\t` : ''
  const lines = [
    '# Kubernetes-managed hosts file.',
    '127.0.0.1\tlocalhost',
    '::1\tlocalhost ip6-localhost ip6-loopback',
    'fe00::0\tip6-localnet',
    'fe00::0\tip6-mcastprefix',
    'fe00::1\tip6-allnodes',
    'fe00::2\tip6-allrouters',
    // Without an address of its own a Pod is still to find itself.
    `${podIp ?? '127.0.0.1'}\t${qualified}${hostname}`,
    ...(hostAliases.length > 0 ? ['', '# Entries added by HostAliases.'] : []),
    ...hostAliases.map(({ ip, hostnames = [] }) => `${ip}\t${hostnames.join('\t')}`),
  ]
  return `${lines.join('\n')}\n`
}

interface ResolverConfig {
  servers: string[]
  searches: string[]
  options: string[]
}

export function resolverFile(pod: PodObject, dns: NodeDns): string {
  const { servers, searches, options } = resolverConfig(pod, dns)
  const own = specOf(pod).dnsConfig
  const merged = new Map(options.map((option): [string, string] => [option.split(':')[0] ?? '', option]))
  for (const { name = '', value } of own?.options ?? []) merged.set(name, value ? `${name}:${value}` : name)
  const lines = [
    ...unique([...searches, ...(own?.searches ?? [])], SEARCH_LIMIT, (list) => [`search ${list.join(' ')}`]),
    ...unique([...servers, ...(own?.nameservers ?? [])], NAMESERVER_LIMIT, (list) =>
      list.map((server) => `nameserver ${server}`),
    ),
    ...(merged.size > 0 ? [`options ${[...merged.values()].join(' ')}`] : []),
  ]
  return lines.length > 0 ? `${lines.join('\n')}\n` : ''
}

function resolverConfig(pod: PodObject, { clusterDomain, clusterServers, hostConfig }: NodeDns): ResolverConfig {
  const { dnsPolicy = 'ClusterFirst', hostNetwork } = specOf(pod)
  const host = parseResolverFile(hostConfig)
  if (dnsPolicy === 'None') return { servers: [], searches: [], options: [] }
  const cluster = dnsPolicy === 'ClusterFirstWithHostNet' || (dnsPolicy === 'ClusterFirst' && !hostNetwork)
  // A cluster without name servers of its own leaves the machine's.
  if (!cluster || clusterServers.length === 0) return host
  const searches = [`${pod.metadata.namespace}.svc.${clusterDomain}`, `svc.${clusterDomain}`, clusterDomain]
  return { servers: [...clusterServers], searches: [...searches, ...host.searches], options: ['ndots:5'] }
}

function parseResolverFile(text: string): ResolverConfig {
  const config: ResolverConfig = { servers: [], searches: [], options: [] }
  for (const line of text.split('\n')) {
    const [keyword, ...values] = line
      .replace(/[#;].*$/, '')
      .trim()
      .split(/\s+/)
    if (keyword === 'nameserver') config.servers.push(...values.slice(0, 1))
    // The last line of each of these counts.
    if (keyword === 'search') config.searches = values
    if (keyword === 'options') config.options = values
  }
  return config
}

function unique(values: readonly string[], limit: number, lines: (values: string[]) => string[]): string[] {
  const found = [...new Set(values)].slice(0, limit)
  return found.length > 0 ? lines(found) : []
}
