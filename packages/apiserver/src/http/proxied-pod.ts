/** Where `pods/NAME/proxy` and `services/NAME/proxy` lead: a port of a Pod that is there, and nowhere else. */
import type { KubeObject, ProxiedPort } from '@caisson/api'
import type { PodSpec, ServiceSpec } from 'kubernetes-types/core/v1.js'
import type { Endpoint, EndpointPort } from 'kubernetes-types/discovery/v1.js'
import { StatusError } from '../status-error.ts'
import type { Store } from '../storage/store.ts'
import type { Call } from '../verbs/call.ts'
import { badRequest, notFound } from '../verbs/errors.ts'

type Objects = Pick<Store, 'get' | 'list'>

interface Asked {
  tls: boolean
  name: string
  /** As it was asked for; empty where it was not. */
  port: string
}

type Pod = KubeObject & { spec: PodSpec }
type Service = KubeObject & { spec: ServiceSpec }
type Slice = KubeObject & { endpoints: Endpoint[] | null; ports?: EndpointPort[] | null }

const SERVICE_LABEL = 'kubernetes.io/service-name'

/**
 * The Pod's node, and its port. Throws a StatusError.
 *
 * @param search the query as it was sent, without the question mark
 */
export function proxiedPod(call: Call, search: string, store: Objects): { node: string; pod: ProxiedPort } {
  const { namespace, resource, rest, path } = call.info
  const asked = parseProxyName(call.info)
  const { pod, port } = resource === 'pods' ? podPort(asked, namespace, store) : servicePort(asked, namespace, store)
  const { nodeName } = pod.spec
  if (!nodeName) throw notAllowed()
  const { name = '', uid = '' } = pod.metadata
  const prefix = path.slice(0, path.length - rest.length).replace(/\/$/, '')
  return {
    node: nodeName,
    pod: { namespace, name, uid, port, tls: asked.tls, url: `${rest || '/'}${search && `?${search}`}`, prefix },
  }
}

/** `[SCHEME:]NAME[:PORT]`. Throws a StatusError. */
export function parseProxyName({ resource, name: id }: Pick<Call['info'], 'resource' | 'name'>): Asked {
  const parts = id.split(':')
  const [scheme, name, port] = parts.length === 3 ? parts : ['', ...parts]
  if (parts.length > 3 || !name || !['', 'http', 'https'].includes(scheme ?? ''))
    throw badRequest(`invalid ${resource === 'pods' ? 'pod' : 'service'} request ${JSON.stringify(id)}`)
  return { tls: scheme === 'https', name, port: port ?? '' }
}

function podPort({ name, port, tls }: Asked, namespace: string, store: Objects): { pod: Pod; port: number } {
  const pod = store.get('pods', namespace, name) as Pod | undefined
  if (!pod) throw notFound({ group: '', plural: 'pods' }, name)
  if (port !== '') return { pod, port: portNumber(port) }
  const declared = pod.spec.containers.flatMap(({ ports = [] }) => ports)[0]
  return { pod, port: declared?.containerPort ?? (tls ? 443 : 80) }
}

/** One of the Service's Pods that are ready, whichever. */
function servicePort({ name, port }: Asked, namespace: string, store: Objects): { pod: Pod; port: number } {
  const service = store.get('services', namespace, name) as Service | undefined
  if (!service) throw notFound({ group: '', plural: 'services' }, name)
  const portName = servicePortName(service, port)
  const found: { pod: Pod; port: number }[] = []
  let others = false
  for (const { endpoints, ports, metadata } of store.list(
    'endpointslices.discovery.k8s.io',
    namespace,
  ) as Iterable<Slice>) {
    if (metadata.labels?.[SERVICE_LABEL] !== name) continue
    const number = ports?.find((each) => (each.name ?? '') === portName)?.port
    if (number === undefined) continue
    for (const endpoint of endpoints ?? []) {
      if (endpoint.conditions?.ready === false) continue
      const pod = podOf(endpoint, namespace, store)
      if (pod) found.push({ pod, port: number })
      else others = true
    }
  }
  const chosen = found[Math.floor(Math.random() * found.length)]
  if (chosen) return chosen
  // Whoever may write EndpointSlices could have the API server speak to any address.
  if (others) throw notAllowed()
  throw unavailable(`no endpoints available for service ${JSON.stringify(name)}`)
}

function servicePortName({ metadata, spec }: Service, port: string): string {
  if (!/^\d+$/.test(port)) return port
  const declared = spec.ports?.find((each) => each.port === Number(port))
  if (!declared) throw unavailable(`no service port ${port} found for service ${JSON.stringify(metadata.name)}`)
  return declared.name ?? ''
}

function podOf({ targetRef }: Endpoint, namespace: string, store: Objects): Pod | undefined {
  if (targetRef?.kind !== 'Pod' || targetRef.name === undefined) return undefined
  const pod = store.get('pods', namespace, targetRef.name) as Pod | undefined
  return pod?.metadata.uid === targetRef.uid ? pod : undefined
}

function portNumber(text: string): number {
  const number = Number(text)
  if (!/^\d+$/.test(text) || number < 1 || number > 65_535)
    throw badRequest(`${JSON.stringify(text)} is not the number of a port of a Pod: 1 to 65535`)
  return number
}

function notAllowed(): StatusError {
  return badRequest('address not allowed')
}

function unavailable(message: string): StatusError {
  return new StatusError('ServiceUnavailable', message)
}
