/** Composes the API server: store, registry, verbs, HTTPS and the in-process door. */
import type { IncomingMessage } from 'node:http'
import type { KubeObject, UserInfo } from '@caisson/api'
import type { Aggregator } from './aggregation/aggregator.ts'
import type { Authorize } from './authz/attributes.ts'
import { forbidden } from './authz/attributes.ts'
import { createDiscovery } from './discovery/discovery.ts'
import type { Awaken } from './http/awaken.ts'
import { CONNECTION_LIMITS, type ConnectionLimits } from './http/connections.ts'
import { discoveryPaths } from './http/discovery-paths.ts'
import { createHandler } from './http/handler.ts'
import { createInFlight, type InFlightLimits } from './http/in-flight.ts'
import { createListener, type Listener, type ListenOptions } from './http/listener.ts'
import { createMetrics } from './http/metrics.ts'
import { connectionVerbs } from './http/node-paths.ts'
import { type FindNode, resolveNode } from './http/node-proxy.ts'
import { serverPaths } from './http/server-paths.ts'
import { createTurns } from './http/turns.ts'
import { connectInProcess, type InProcessServer } from './in-process.ts'
import { attributesOf, type Headers, type PathHandler, type Pipeline } from './pipeline.ts'
import { KUBERNETES_SERVICE_ADDRESS } from './registry/builtin/service-allocation.ts'
import { followDefinitions } from './registry/definitions.ts'
import { createRegistry, type Registry } from './registry/registry.ts'
import type { Conversion, Resource } from './registry/resource.ts'
import type { Store } from './storage/store.ts'
import { deleteAll } from './verbs/delete-collection.ts'
import type { Environment, Subresources } from './verbs/environment.ts'
import { pathNotServed } from './verbs/errors.ts'
import { type StorageLimits, storageLimits } from './verbs/refuse-full.ts'
import { subresourceTable } from './verbs/subresource-table.ts'

export interface ApiServerOptions {
  store: Store
  /** The built-in kinds. */
  resources: readonly Resource[]
  /** Undefined where the request carries nothing that proves who sends it. Throws a StatusError for a bad proof. */
  authenticate(request: IncomingMessage): UserInfo | undefined | Promise<UserInfo | undefined>
  /** The user that the request acts as, by its Impersonate headers. Throws Forbidden. */
  impersonate?(user: UserInfo, headers: Headers): UserInfo
  authorize: Authorize
  /** Admission: may change the object; throws a StatusError to refuse. */
  admit?: Environment['admit']
  /** Throws a StatusError where an object, as it is by then, gives more than the user may hand out. */
  confirmGrants?: Environment['confirmGrants']
  /** Admission that comes after validation: throws a StatusError to refuse. */
  admitValidated?: Environment['admitValidated']
  /** Beyond those that every server has, by the key of their resource. */
  subresources?: Subresources
  /** What one write works with, where that is more than what reads do: webhooks. */
  environmentFor?(resource: Resource, environment: Environment): Environment
  /** For definitions whose versions a webhook converts. */
  conversionOf?(definition: KubeObject): Conversion | undefined
  virtual?: Environment['virtual']
  computed?: Environment['computed']
  /** The node of that name, where it is connected: what exec, attach, port-forward and logs go to. */
  node?: FindNode
  /** Other API servers that are joined in. */
  aggregator?: Pick<Aggregator, 'find' | 'findPath'>
  /** Pods that are not there because they sleep, and are woken by whoever connects to them. */
  awaken?: Awaken
  /** Those of `IN_FLIGHT_LIMITS` unless given. */
  inFlight?: InFlightLimits
  connections?: Partial<ConnectionLimits>
  /** Those of `storageLimits` unless given. */
  storage?: StorageLimits
  /** Further paths that are no resources (`/openapi/v2` …); asked before anything is answered with 404. */
  findPath?(path: string): PathHandler | undefined
  /** What else `/metrics` tells, in the text format of Prometheus. */
  moreMetrics?(): Promise<string>
  /** ms since the epoch. */
  now?(): number
  /** Failures that no client is told about. */
  report?(error: unknown): void
}

/** Its connections are those of other processes. */
export interface ApiServer extends AsyncDisposable, Pick<Listener, 'followClients' | 'setTls'> {
  registry: Registry
  listen(options: ListenOptions): Promise<{ url: string; port: number }>
  /** The server for callers in this process, as the given user. */
  connect(user: UserInfo, options?: { userAgent?: string }): InProcessServer
}

/** By which a page that this server itself served can have asked for it. */
const OWN_NAMES: ReadonlySet<string> = new Set([
  '127.0.0.1',
  '[::1]',
  'localhost',
  'kubernetes',
  'kubernetes.default',
  'kubernetes.default.svc',
  'kubernetes.default.svc.cluster.local',
  KUBERNETES_SERVICE_ADDRESS,
])

export function createApiServer(options: ApiServerOptions): ApiServer {
  const { store, authorize, aggregator } = options
  const now = options.now ?? Date.now
  const report = options.report ?? ((error: unknown) => console.error(error))
  const findNode = options.node ?? (() => undefined)
  const registry = createRegistry(options.resources)
  const subresources = subresourceTable(options.subresources ?? {})
  const storage = options.storage ?? storageLimits()
  const metrics = createMetrics({ registry, subresources }, { store, limits: storage })
  const environment: Environment = {
    store,
    registry,
    subresources,
    virtual: options.virtual ?? {},
    computed: options.computed ?? {},
    storage,
    now,
    admit: options.admit ?? (() => undefined),
    confirmGrants: options.confirmGrants ?? (() => undefined),
    admitValidated: options.admitValidated ?? (() => undefined),
    authorizeCreate(call) {
      const attributes = attributesOf({ ...call.info, verb: 'create' }, call.user)
      const { allowed, reason } = authorize(attributes)
      if (!allowed) throw forbidden(attributes, reason)
    },
  }
  const definitions = followDefinitions({
    store,
    registry,
    now,
    report,
    conversionOf: options.conversionOf ?? (() => undefined),
    deleteAll: (resource) => deleteAll(resource, environment),
  })
  const connections = { ...CONNECTION_LIMITS, ...options.connections }
  const listener = createListener(connections)
  let closing = false
  const paths = serverPaths({
    registry,
    metrics,
    moreMetrics: options.moreMetrics,
    storageFailure: () => store.failure,
    isClosing: () => closing,
    isServed: (path) => pipeline.findPath(path) !== undefined,
  })
  const findDiscovery = discoveryPaths(createDiscovery(registry, environment.subresources), listener.address)
  const pipeline: Pipeline = {
    environment,
    authorize,
    impersonate: options.impersonate ?? ((user) => user),
    environmentFor: (resource) => options.environmentFor?.(resource, environment) ?? environment,
    findPath: (path) => paths.get(path) ?? findDiscovery(path) ?? options.findPath?.(path),
    stream(call, search, signal) {
      if (!connectionVerbs(call)) throw pathNotServed()
      const { connection, target } = resolveNode({ pipeline, findNode }, call, search)
      if (!connection) return nothing()
      if (!connection.stream) throw pathNotServed()
      return connection.stream(target.url, signal)
    },
    observe(call, code, milliseconds) {
      metrics.observe(call, { code, seconds: milliseconds / 1000 })
    },
    begin: (call) => metrics.begin(call),
  }
  const streams = new Set<() => void>()

  return {
    registry,
    followClients: listener.followClients,
    listen(listenOptions) {
      const handler = createHandler({
        pipeline: aggregator
          ? { ...pipeline, findPath: (path) => aggregator.findPath(path, pipeline.findPath) ?? pipeline.findPath(path) }
          : pipeline,
        findRemote: (info) => aggregator?.find(info),
        authenticate: options.authenticate,
        findNode,
        awaken: options.awaken,
        inFlight: createInFlight(options.inFlight),
        turns: createTurns(),
        stalledMs: connections.stalledMs,
        welcome: listener.welcome,
        isOwnHost: (name) => name === listener.address() || OWN_NAMES.has(name.replace(/:\d+$/, '')),
        report,
      })
      return listener.listen(listenOptions, handler)
    },
    setTls: listener.setTls,
    connect: (user, { userAgent = 'caisson' } = {}) => connectInProcess({ pipeline, user, userAgent, report, streams }),
    async [Symbol.asyncDispose]() {
      closing = true
      definitions[Symbol.dispose]()
      for (const end of streams) end()
      await listener[Symbol.asyncDispose]()
    },
  }
}

async function* nothing(): AsyncGenerator<Uint8Array> {}
