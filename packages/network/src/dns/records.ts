/** The names of the cluster and what they stand for, as Kubernetes' DNS specification has them: a pure function. */
import type { Answer, Question, RecordType } from 'dns-packet'
import {
  addressesOf,
  firstSlices,
  isHeadless,
  isPort,
  isReady,
  type ServiceObject,
  type SliceObject,
} from '../services/service-model.ts'

/** What is looked up in; every name in lower case. */
export interface NameView {
  /** `cluster.local` */
  domain: string
  hasNamespace(name: string): boolean
  service(namespace: string, name: string): { service: ServiceObject; slices: readonly SliceObject[] } | undefined
  serviceAt(clusterIp: string): ServiceObject | undefined
  /** The endpoints of a namespace's headless Services with this address. */
  endpointsAt(namespace: string, ip: string): readonly { service: ServiceObject; hostname: string }[]
  /** The namespace of the Pod with this address. */
  podNamespaceAt(ip: string): string | undefined
  /** Whether an address belongs to the cluster: then nobody else knows its name. */
  isOwn(ip: string): boolean
}

export type Answered =
  | { kind: 'answer'; answers: Answer[]; additionals: Answer[] }
  /** The name is there, and has no such records. */
  | { kind: 'empty' }
  | { kind: 'missing' }
  /** Another name stands for it, which is not one of the cluster's. */
  | { kind: 'alias'; answers: Answer[]; target: string }
  /** Not one of the cluster's names. */
  | { kind: 'foreign' }

/** As CoreDNS has it: short, since Pods come and go. */
const TTL_SECONDS = 5
/** An answer has 64 KiB at most. */
const MOST_RECORDS = 500
const LONGEST_LABEL = 63

export function answer({ name: asked, type }: Pick<Question, 'name' | 'type'>, view: NameView): Answered {
  const name = asked.toLowerCase().replace(/\.$/, '')
  const reverse = /^(\d+)\.(\d+)\.(\d+)\.(\d+)\.in-addr\.arpa$/.exec(name)
  if (reverse) return answerReverse(asked, type, { ip: reverse.slice(1).reverse().join('.'), view })
  const { domain } = view
  if (name === domain) return { kind: 'empty' }
  if (!name.endsWith(`.${domain}`)) return { kind: 'foreign' }
  const labels = name.slice(0, -domain.length - 1).split('.')
  const kind = labels.pop()
  if (kind === 'dns-version' && labels.length === 0) {
    return only(type, 'TXT', { type: 'TXT', name: asked, ttl: TTL_SECONDS, data: '1.1.0' })
  }
  const namespace = labels.pop()
  if (namespace === undefined) return kind === 'svc' || kind === 'pod' ? { kind: 'empty' } : { kind: 'missing' }
  if (!view.hasNamespace(namespace)) return { kind: 'missing' }
  if (labels.length === 0) return kind === 'svc' || kind === 'pod' ? { kind: 'empty' } : { kind: 'missing' }
  if (kind === 'pod') return answerPod(asked, type, { labels, namespace, view })
  if (kind !== 'svc') return { kind: 'missing' }
  const found = view.service(namespace, labels.pop() ?? '')
  if (!found) return { kind: 'missing' }
  return answerService(asked, type, { ...found, slices: firstSlices(found.slices), labels, view })
}

function answerReverse(asked: string, type: RecordType, { ip, view }: { ip: string; view: NameView }): Answered {
  const service = view.serviceAt(ip)
  // A slice may name any address: only a Pod's own namespace says what it is called.
  const namespace = view.podNamespaceAt(ip)
  const endpoints = namespace === undefined ? [] : view.endpointsAt(namespace, ip).slice(0, MOST_RECORDS)
  const names = service
    ? [serviceName(service, view)]
    : endpoints.map((each) => `${each.hostname}.${serviceName(each.service, view)}`)
  if (names.length === 0) return view.isOwn(ip) ? { kind: 'missing' } : { kind: 'foreign' }
  return only(type, 'PTR', ...names.map((data): Answer => ({ type: 'PTR', name: asked, ttl: TTL_SECONDS, data })))
}

/** `10-1-2-3.NAMESPACE.pod.DOMAIN`: only where a Pod of that namespace has the address. */
function answerPod(
  asked: string,
  type: RecordType,
  { labels, namespace, view }: { labels: readonly string[]; namespace: string; view: NameView },
): Answered {
  const ip = (labels[0] ?? '').replaceAll('-', '.')
  if (labels.length > 1 || view.podNamespaceAt(ip) !== namespace) return { kind: 'missing' }
  return only(type, 'A', address(asked, ip))
}

interface FoundService {
  service: ServiceObject
  slices: readonly SliceObject[]
  /** What stands before the Service's name. */
  labels: readonly string[]
  view: NameView
}

function answerService(asked: string, type: RecordType, found: FoundService): Answered {
  const { service, labels } = found
  const { spec } = service
  if (spec?.type === 'ExternalName') {
    const target = spec.externalName ?? ''
    // Kubernetes takes longer ones, which DNS has no way to write.
    if (target.split('.').some((label) => label.length > LONGEST_LABEL)) return { kind: 'missing' }
    const alias: Answer = { type: 'CNAME', name: asked, ttl: TTL_SECONDS, data: target }
    return labels.length > 0 ? { kind: 'missing' } : { kind: 'alias', answers: [alias], target }
  }
  const [first = '', second = ''] = labels
  if (labels.length === 2 && first.startsWith('_') && second.startsWith('_')) {
    return answerPort(asked, type, { ...found, port: first.slice(1), protocol: second.slice(1) })
  }
  if (labels.length === 0) {
    if (!isHeadless(service)) return only(type, 'A', address(asked, spec?.clusterIP ?? ''))
    const addresses = endpointsOf(found.slices).map(({ ip }) => address(asked, ip))
    return addresses.length > 0 ? only(type, 'A', ...addresses) : { kind: 'empty' }
  }
  if (labels.length > 1 || !isHeadless(service)) return { kind: 'missing' }
  const endpoints = endpointsOf(found.slices).filter(({ hostname }) => hostname === first)
  return endpoints.length > 0 ? only(type, 'A', ...endpoints.map(({ ip }) => address(asked, ip))) : { kind: 'missing' }
}

/** `_PORT._PROTOCOL.SERVICE…`: where the port is, by name and by address. */
function answerPort(
  asked: string,
  type: RecordType,
  { service, slices, view, port, protocol }: FoundService & { port: string; protocol: string },
): Answered {
  const record = (target: string, number: number): Answer => ({
    type: 'SRV',
    name: asked,
    ttl: TTL_SECONDS,
    data: { priority: 0, weight: 100, port: number, target },
  })
  const own = serviceName(service, view)
  const found: { target: string; port: number; ip: string }[] = isHeadless(service)
    ? slices.flatMap((slice) => {
        const number = slice.ports?.find(
          (each) => each.name === port && (each.protocol ?? 'TCP').toLowerCase() === protocol,
        )?.port
        if (!isPort(number)) return []
        return endpointsOf([slice]).map(({ hostname, ip }) => ({ target: `${hostname}.${own}`, port: number, ip }))
      })
    : (service.spec?.ports ?? []).flatMap((each) =>
        each.name === port && (each.protocol ?? 'TCP').toLowerCase() === protocol
          ? [{ target: own, port: each.port, ip: service.spec?.clusterIP ?? '' }]
          : [],
      )
  if (found.length === 0) return { kind: 'missing' }
  if (type !== 'SRV') return { kind: 'empty' }
  return {
    kind: 'answer',
    answers: found.slice(0, MOST_RECORDS).map((each) => record(each.target, each.port)),
    additionals: found.slice(0, MOST_RECORDS).map(({ target, ip }) => address(target, ip)),
  }
}

function endpointsOf(slices: readonly SliceObject[]): { ip: string; hostname: string }[] {
  const found = slices.flatMap(({ addressType, endpoints }) =>
    addressType === 'IPv4'
      ? (endpoints ?? [])
          .filter(isReady)
          .flatMap((endpoint) =>
            addressesOf(endpoint).map((ip) => ({ ip, hostname: endpoint.hostname ?? ip.replaceAll('.', '-') })),
          )
      : [],
  )
  return [...new Map(found.map((each) => [each.ip, each])).values()].slice(0, MOST_RECORDS)
}

function serviceName({ metadata }: ServiceObject, { domain }: NameView): string {
  return `${metadata.name}.${metadata.namespace}.svc.${domain}`
}

function address(name: string, ip: string): Answer {
  return { type: 'A', name, ttl: TTL_SECONDS, data: ip }
}

function only(asked: RecordType, type: RecordType, ...answers: Answer[]): Answered {
  return asked === type ? { kind: 'answer', answers, additionals: [] } : { kind: 'empty' }
}
