/** What a request to exec, attach, port-forward, log or proxy is on the node: which node, and the path of its API. */
import type { KubeObject, ProxiedPort } from '@caisson/api'
import { forbidden, invalidValue, notSupported } from '../registry/field-error.ts'
import { type FieldError, invalid } from '../status-error.ts'
import type { Store } from '../storage/store.ts'
import type { Call } from '../verbs/call.ts'
import { badRequest, notFound } from '../verbs/errors.ts'
import { CONNECTIONS } from '../verbs/subresources/connections.ts'
import { proxiedPod } from './proxied-pod.ts'

export interface NodeTarget {
  /** Undefined for the log of a Pod that no node has yet: there is nothing to read. */
  node: string | undefined
  /** With its query. */
  url: string
  /** Of a request to a port of a Pod, which is not one to the node. */
  pod?: ProxiedPort
}

interface Container {
  name: string
}

interface Pod extends KubeObject {
  spec: {
    nodeName?: string
    containers: Container[]
    initContainers?: Container[]
    ephemeralContainers?: Container[]
  }
}

const PODS = { group: '', plural: 'pods' }
const NODES = { group: '', plural: 'nodes' }

/** The verbs of the connection that the call asks for; undefined where it asks for something else. */
export function connectionVerbs({ info }: Call): readonly string[] | undefined {
  if (!info.isResource || info.group !== '' || !Object.hasOwn(CONNECTIONS, info.resource)) return undefined
  return CONNECTIONS[info.resource]?.find(({ name }) => name === info.subresource)?.verbs
}

/** @param search the query as it was sent, without the question mark */
export function nodeTarget(call: Call, search: string, store: Pick<Store, 'get' | 'list'>): NodeTarget {
  const { resource, subresource, name, rest } = call.info
  const query = new URLSearchParams(search)
  if (subresource === 'proxy' && resource !== 'nodes') {
    const { node, pod } = proxiedPod(call, search, store)
    return { node, url: pod.url, pod }
  }
  if (resource === 'nodes') {
    if (!store.get('nodes', undefined, name)) throw notFound(NODES, name)
    return { node: name, url: `${rest || '/'}${search && `?${search}`}` }
  }
  if (subresource === 'log') checkLogOptions(call, query)
  const pod = store.get('pods', call.info.namespace, name) as Pod | undefined
  if (!pod) throw notFound(PODS, name)
  const place = `${encodeURIComponent(call.info.namespace)}/${encodeURIComponent(name)}`
  if (subresource === 'portforward')
    return { node: nodeOf(pod), url: `/portForward/${place}${withQuery(copied(query, ['ports']))}` }
  const container = encodeURIComponent(containerOf(pod, query.get('container') ?? ''))
  if (subresource === 'log')
    return {
      node: pod.spec.nodeName || undefined,
      url: `/containerLogs/${place}/${container}${withQuery(logQuery(query))}`,
    }
  return { node: nodeOf(pod), url: `/${subresource}/${place}/${container}${withQuery(streamQuery(query))}` }
}

function nodeOf({ metadata, spec }: Pod): string {
  if (!spec.nodeName) throw badRequest(`pod ${metadata.name} does not have a host assigned`)
  return spec.nodeName
}

function containerOf({ metadata, spec }: Pod, asked: string): string {
  const all = [...(spec.initContainers ?? []), ...spec.containers, ...(spec.ephemeralContainers ?? [])]
  const names = all.map(({ name }) => name)
  if (asked !== '') {
    if (!names.includes(asked)) throw badRequest(`container ${asked} is not valid for pod ${metadata.name}`)
    return asked
  }
  const [only, another] = spec.containers
  if (only && !another) return only.name
  throw badRequest(`a container name must be specified for pod ${metadata.name}, choose one of: [${names.join(' ')}]`)
}

/** As a kubelet names the streams. */
function streamQuery(query: URLSearchParams): URLSearchParams {
  const params = new URLSearchParams()
  if (isTrue(query.get('stdin'))) params.set('input', '1')
  if (isTrue(query.get('stdout'))) params.set('output', '1')
  if (isTrue(query.get('stderr'))) params.set('error', '1')
  if (isTrue(query.get('tty'))) params.set('tty', '1')
  for (const command of query.getAll('command')) params.append('command', command)
  return params
}

const LOG_STREAMS = ['All', 'Stderr', 'Stdout']
const LOG_NUMBERS = ['sinceSeconds', 'sinceTime', 'tailLines', 'limitBytes', 'stream']

function logQuery(query: URLSearchParams): URLSearchParams {
  const params = copied(query, LOG_NUMBERS)
  for (const flag of ['follow', 'previous', 'timestamps']) if (isTrue(query.get(flag))) params.set(flag, 'true')
  return params
}

function checkLogOptions(call: Call, query: URLSearchParams): void {
  const errors: FieldError[] = []
  const number = (name: string): number | undefined => {
    const text = query.get(name)
    if (text === null || text === '') return undefined
    if (!/^[+-]?\d{1,19}$/.test(text))
      throw badRequest(`strconv.ParseInt: parsing ${JSON.stringify(text)}: invalid syntax`)
    return Number(text)
  }
  const tail = number('tailLines')
  if (tail !== undefined && tail < 0) errors.push(invalidValue('tailLines', tail, 'must be greater than or equal to 0'))
  const limit = number('limitBytes')
  if (limit !== undefined && limit < 1) errors.push(invalidValue('limitBytes', limit, 'must be greater than 0'))
  const since = number('sinceSeconds')
  if (since !== undefined && query.get('sinceTime'))
    errors.push(forbidden('', 'at most one of `sinceTime` or `sinceSeconds` may be specified'))
  else if (since !== undefined && since < 1) errors.push(invalidValue('sinceSeconds', since, 'must be greater than 0'))
  // As kube-apiserver has it where the feature PodLogsQuerySplitStreams is switched on.
  const stream = query.get('stream')
  if (stream !== null && !LOG_STREAMS.includes(stream)) errors.push(notSupported('stream', stream, LOG_STREAMS))
  else if (stream !== null && stream !== 'All' && tail !== undefined)
    errors.push(forbidden('', '`tailLines` and specific `stream` are mutually exclusive for now'))
  if (errors.length > 0) throw invalid({ group: '', kind: 'PodLogOptions' }, call.info.name, errors)
}

function copied(query: URLSearchParams, names: readonly string[]): URLSearchParams {
  const params = new URLSearchParams()
  for (const name of names) for (const value of query.getAll(name)) if (value !== '') params.append(name, value)
  return params
}

function withQuery(params: URLSearchParams): string {
  const text = params.toString()
  return text && `?${text}`
}

function isTrue(value: string | null): boolean {
  return value !== null && value !== 'false' && value !== '0'
}
