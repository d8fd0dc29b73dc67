/**
 * Makes further API servers part of this one, as kube-aggregator does. They are reached through Services alone, and so
 * through Pods: no APIService leads to the machine that this server runs on. Clients of this process (the cluster's own
 * controllers) see what this server has itself.
 */
import type { PathHandler } from '../pipeline.ts'
import type { Registry } from '../registry/registry.ts'
import type { Answer, RequestInfo } from '../verbs/call.ts'
import { pathNotServed } from '../verbs/errors.ts'
import { keepFrontProxyConfig } from './front-proxy-config.ts'
import { keepLocalServices } from './keep-local-services.ts'
import { mergeAggregated, mergeGroup, mergeGroups } from './merge-discovery.ts'
import { followRemoteServices, type RemoteService, type RemoteServicesOptions } from './remote-services.ts'

export interface Aggregator extends AsyncDisposable {
  /** Who else answers the request; undefined for this server. */
  find(info: RequestInfo): RemoteService | undefined
  /** Discovery of all; undefined where it is as `local` says it. */
  findPath(path: string, local: (path: string) => PathHandler | undefined): PathHandler | undefined
}

export interface AggregatorOptions extends RemoteServicesOptions {
  /** PEM of the authority of client certificates. */
  clientAuthority(): string
}

export function startAggregator(options: AggregatorOptions): Aggregator {
  const { registry } = options
  const stack = new AsyncDisposableStack()
  const { all } = stack.use(followRemoteServices(options))
  stack.use(keepLocalServices(options))
  if (options.dial) {
    // Its keys are made meanwhile; nobody waits for them but a server that is joined in.
    const kept = keepFrontProxyConfig(options).catch(options.report)
    stack.defer(() => kept)
  }
  return {
    find(info) {
      if (all.size === 0) return undefined
      const remote = all.get(groupVersionOf(info))
      return remote && !registry.hasGroupVersion(remote.group, remote.version) ? remote : undefined
    },
    findPath(path, local) {
      if (all.size === 0) return undefined
      const parts = path.split('/').filter((part) => part !== '')
      if (parts[0] !== 'apis' || parts.length > 2) return undefined
      const [, name] = parts
      const own = local(path)
      if (name === undefined) return own && (async (call) => merged(await own(call), all.values()))
      if (![...all.values()].some(({ group }) => group === name)) return undefined
      return async (call) => {
        const answer = hasGroup(registry, name) ? await own?.(call) : undefined
        const body = mergeGroup(name, answer?.body as never, all.values())
        if (!body) throw pathNotServed()
        return { status: 200, body }
      }
    },
    [Symbol.asyncDispose]: () => stack.disposeAsync(),
  }
}

function hasGroup(registry: Registry, name: string): boolean {
  return registry.all().some(({ group }) => group === name)
}

function groupVersionOf({ isResource, group, version, path }: RequestInfo): string {
  if (isResource) return `${group}/${version}`
  const parts = path.split('/').filter((part) => part !== '')
  return parts[0] === 'apis' && parts.length === 3 ? `${parts[1]}/${parts[2]}` : ''
}

function merged(answer: Answer, remotes: Iterable<RemoteService>): Answer {
  const { kind } = answer.body as { kind?: string }
  const merge = kind === 'APIGroupDiscoveryList' ? mergeAggregated : mergeGroups
  return { ...answer, body: merge(answer.body as never, remotes) }
}
