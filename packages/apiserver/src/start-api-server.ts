/** The whole embedded API server: store, keys, security, kinds and documents, listening. */

import { keepPolicyStatus } from './admission/policies/keep-policy-status.ts'
import type { DialService } from './admission/webhooks/service-agent.ts'
import { createWebhookClient } from './admission/webhooks/webhook-client.ts'
import { createWebhooks, type Webhooks } from './admission/webhooks/webhooks.ts'
import { type Aggregator, startAggregator } from './aggregation/aggregator.ts'
import { type Certificates, ensureCertificates, keepCertificatesFresh } from './authn/certificates.ts'
import { signCertificates } from './authn/sign-certificates.ts'
import { createConversion } from './conversion/webhook-conversion.ts'
import { expireEvents } from './expire-events.ts'
import { VERSION } from './http/server-paths.ts'
import { keepKubernetesService } from './kubernetes-service.ts'
import { computeMetrics, metricsKinds } from './metrics-api/metrics-kinds.ts'
import { createOpenApiDocuments } from './openapi/documents.ts'
import { openApiPaths } from './openapi/paths.ts'
import { keepQuotas } from './quota/keep-quotas.ts'
import { builtinResources } from './registry/builtin/index.ts'
import { KUBERNETES_SERVICE_ADDRESS } from './registry/builtin/service-allocation.ts'
import type { Registry } from './registry/registry.ts'
import { createSecurity, type SecurityOptions } from './security.ts'
import { type ApiServer, type ApiServerOptions, createApiServer } from './server.ts'
import { type OpenStoreOptions, openStore } from './storage/sqlite-store.ts'
import type { Store } from './storage/store.ts'
import { subresourceTable } from './verbs/subresource-table.ts'
import { answerBinding, BINDING_KIND } from './verbs/subresources/pod-binding.ts'

export interface StartApiServerOptions {
  /** Of the objects; made where it is missing. */
  directory: string
  /** Of the keys and certificates; made where it is missing. */
  certificates: string
  /** How much of each resource's past stays watchable. */
  window?: NonNullable<OpenStoreOptions['window']>
  /** Bytes of JSON of the past of all resources together. */
  historyBytes?: number
  /** A loopback address. */
  host: string
  /** 0 takes a free one. */
  port: number
  tokens?: SecurityOptions['tokens']
  podSecurity?: SecurityOptions['podSecurity']
  /** The node that runs a Pod, for exec, attach, port-forward and logs. */
  node?: ApiServerOptions['node']
  /** Wakes Pods that sleep, for who connects to them. */
  awaken?: NonNullable<ApiServerOptions['awaken']>
  /** How Services are reached that webhooks are behind; without it those fail. */
  dialService?: DialService
  inFlight?: NonNullable<ApiServerOptions['inFlight']>
  connections?: NonNullable<ApiServerOptions['connections']>
  storage?: NonNullable<ApiServerOptions['storage']>
  moreMetrics?: NonNullable<ApiServerOptions['moreMetrics']>
  /** New certificates are in use: kubeconfigs are to be written again. */
  onRenewed?(certificates: Certificates): void
  /** Failures that no client is told about. */
  report?(error: unknown): void
}

export interface RunningApiServer extends AsyncDisposable {
  server: ApiServer
  store: Store
  certificates: Certificates
  /** `https://127.0.0.1:PORT` */
  url: string
  port: number
}

/** Resolves when it answers. Disposing closes every connection and then the store. */
export async function startApiServer(options: StartApiServerOptions): Promise<RunningApiServer> {
  const now = (): number => Date.now()
  const report = options.report ?? ((error: unknown) => console.error(error))
  await using stack = new AsyncDisposableStack()
  const stop = new AbortController()
  stack.defer(() => stop.abort())
  const certificates = await ensureCertificates(options.certificates, {
    hosts: ['127.0.0.1', '::1', 'localhost', options.host, KUBERNETES_SERVICE_ADDRESS],
    now,
  })
  const store = stack.use(
    openStore({
      directory: options.directory,
      report,
      ...(options.window && { window: options.window }),
      ...(options.historyBytes !== undefined && { historyBytes: options.historyBytes }),
    }),
  )
  let current = certificates
  let registry: Pick<Registry, 'all'> = { all: () => [] }
  const security = stack.use(
    await createSecurity({
      store,
      serviceAccountKey: certificates.serviceAccountKey,
      registry: () => registry,
      now,
      report,
      ...(options.tokens && { tokens: options.tokens }),
      ...(options.podSecurity && { podSecurity: options.podSecurity }),
    }),
  )
  const webhookClient = stack.use(createWebhookClient(options.dialService))
  let webhooks: Webhooks | undefined
  let aggregator: Aggregator | undefined
  let findOpenApi: ReturnType<typeof openApiPaths> | undefined
  const server = stack.use(
    createApiServer({
      store,
      resources: [...builtinResources(), BINDING_KIND, ...security.resources, ...metricsKinds()],
      authenticate: security.authenticate,
      impersonate: security.impersonate,
      authorize: security.authorize,
      admit: security.admit,
      confirmGrants: security.confirmGrants,
      admitValidated: security.admitValidated,
      subresources: security.subresources,
      virtual: { ...security.virtual, bindings: answerBinding },
      computed: computeMetrics({ store, findNode: options.node ?? (() => undefined), now }),
      findPath: (path) => security.findPath(path) ?? findOpenApi?.(path),
      aggregator: {
        find: (info) => aggregator?.find(info),
        findPath: (path, local) => aggregator?.findPath(path, local),
      },
      conversionOf: (definition) => createConversion(definition, webhookClient),
      environmentFor: (resource, environment) => webhooks?.environmentFor(resource, environment) ?? environment,
      ...(options.node && { node: options.node }),
      ...(options.awaken && { awaken: options.awaken }),
      ...(options.inFlight && { inFlight: options.inFlight }),
      ...(options.connections && { connections: options.connections }),
      ...(options.storage && { storage: options.storage }),
      ...(options.moreMetrics && { moreMetrics: options.moreMetrics }),
      now,
      report,
    }),
  )
  registry = server.registry
  webhooks = stack.use(createWebhooks({ store, registry: server.registry, client: webhookClient, report }))
  findOpenApi = openApiPaths(
    createOpenApiDocuments(() => server.registry.all(), {
      subresourcesOf: subresourceTable(security.subresources),
      serverVersion: VERSION.gitVersion,
    }),
  )
  const tls = (from: Certificates): { cert: string; key: string; ca: string } => ({
    cert: from.server.certificate,
    key: from.server.key,
    ca: from.authority,
  })
  const { url, port } = await server.listen({ host: options.host, port: options.port, tls: tls(certificates) })
  stack.use(keepPolicyStatus({ store, registry: server.registry, report }))
  stack.use(signCertificates({ store, issue: (asked) => current.signClientCertificate(asked), now, report }))
  stack.use(expireEvents({ store, now, report }))
  stack.use(keepQuotas({ store, registry: server.registry, now, report }))
  stack.use(await keepKubernetesService(store, { host: options.host, port, now, report }))
  aggregator = stack.use(
    startAggregator({
      store,
      registry: server.registry,
      dial: options.dialService,
      clientAuthority: () => current.authority,
      frontProxy: () => current.frontProxy(),
      now,
      report,
    }),
  )
  void keepCertificatesFresh(certificates, {
    now,
    signal: stop.signal,
    onRenewed(renewed) {
      current = renewed
      server.setTls(tls(renewed))
      options.onRenewed?.(renewed)
    },
    onError: report,
  })
  const owned = stack.move()
  return { server, store, certificates, url, port, [Symbol.asyncDispose]: () => owned.disposeAsync() }
}
