/** What a node has to know of its cluster's network. */
import { isIPv4 } from 'node:net'
import { type Client, isNotFound, resources } from '@caisson/client'
import { CliError } from '../cli-error.ts'

export interface ClusterFacts {
  /** Of Services, IPv4. */
  serviceRange: string
  /** Where Pods ask for names: the cluster's own Service for that, or where it would be. */
  dnsAddress: string
}

const DNS = { namespace: 'kube-system', name: 'kube-dns' }
/** Of the address in the range, where clusters have it that their tools made. */
const DNS_OFFSET = 10

/** @throws CliError where the cluster does not say which addresses Services have, and nobody else did */
export async function readClusterFacts(client: Client, serviceRange: string | undefined): Promise<ClusterFacts> {
  const range = serviceRange ?? (await servedRange(client))
  const service = await client.get(resources.services, DNS.name, { namespace: DNS.namespace }).catch((error) => {
    if (!isNotFound(error)) throw error
    return undefined
  })
  const own = service?.spec?.clusterIP
  return { serviceRange: range, dnsAddress: own && isIPv4(own) ? own : addressOf(range, DNS_OFFSET) }
}

async function servedRange(client: Client): Promise<string> {
  let cidrs: readonly string[] = []
  try {
    const path = '/apis/networking.k8s.io/v1/servicecidrs/kubernetes'
    const found = await client.request<{ spec: { cidrs: string[] } }>({ method: 'GET', path })
    cidrs = found.spec.cidrs
  } catch (error) {
    if (!isNotFound(error)) throw error
  }
  const range = cidrs.find((cidr) => isIPv4(cidr.split('/')[0] ?? ''))
  if (range !== undefined) return range
  throw new CliError(
    'usage',
    cidrs.length > 0
      ? `the cluster's Services have addresses of ${cidrs.join(', ')} only, and this node needs IPv4`
      : "the cluster does not say which addresses its Services have (Kubernetes before 1.33): give kube-apiserver's --service-cluster-ip-range as --service-cidr",
  )
}

function addressOf(range: string, offset: number): string {
  const octets = (range.split('/')[0] ?? '').split('.').map(Number)
  const number = octets.reduce((sum, octet) => sum * 256 + octet, 0) + offset
  return [24, 16, 8, 0].map((shift) => (number >>> shift) & 0xff).join('.')
}
