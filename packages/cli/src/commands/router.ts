import { readFileSync } from 'node:fs'
import { type Client, createClient, createHttpTransport, findConnection } from '@caisson/client'
import {
  type AuthzOptions,
  type ListenAddress,
  type RouterOptions,
  startRouter,
  type TlsOptions,
} from '@caisson/gateway'
import { CliError } from '../cli-error.ts'
import { contextOf, openSession } from '../cluster/session.ts'
import { parseDuration } from '../duration.ts'
import type { GlobalOptions } from '../global-options.ts'
import { say } from '../terminal-text.ts'
import { VERSION } from '../version.ts'

export interface RouterCommandOptions extends GlobalOptions {
  listen: string
  listenAdmin?: string
  listenDoor?: string
  listenReviewed?: string
  authzMode: AuthzOptions['mode']
  audience: string[]
  scopedTokenKeys?: string
  scopedTokenSecret?: string
  scopedTokenV1Until?: string
  listenTls?: string
  tlsCert?: string
  tlsKey?: string
  tlsClientCa?: string
  tlsClients: TlsOptions['clients']
  pathRoutingPrefix?: string
  proxyTimeout: string
  upstreamMaxRetries: string
  runtimeApi: boolean
  kubeconfig?: string
  untilStdinEnds?: boolean
}

/** Runs until it is told to stop. Says on standard output where it listens. */
export async function router(options: RouterCommandOptions): Promise<void> {
  const listen = listenAddress(options.listen)
  const authz = authzOptions(options)
  if (authz.mode === 'allow-all') refuseToBeOpen(listen, options.listen)
  const listenTls = tlsOptions(options, authz)
  const retries = Number(options.upstreamMaxRetries)
  if (!Number.isInteger(retries) || retries < 0 || retries > 100)
    throw new CliError('usage', `--upstream-max-retries takes a number up to 100, not ${options.upstreamMaxRetries}`)
  const pathPrefix = options.pathRoutingPrefix
  if (pathPrefix !== undefined && !/^(\/[A-Za-z0-9._~-]+)+$/.test(pathPrefix))
    throw new CliError('usage', `--path-routing-prefix takes a path such as /router, not ${JSON.stringify(pathPrefix)}`)
  const stopping = Promise.withResolvers<void>()
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.once(signal, () => stopping.resolve())
  if (options.untilStdinEnds)
    process.stdin
      .resume()
      .once('end', stopping.resolve)
      .once('error', () => stopping.resolve())
  await using session = await (options.kubeconfig === undefined
    ? openSession(options)
    : sessionOf(options.kubeconfig, contextOf(options)))
  await using running = await startRouter({
    client: session.client,
    listen,
    ...(options.listenAdmin !== undefined && { listenAdmin: listenAddress(options.listenAdmin) }),
    ...(listenTls && { listenTls }),
    ...(options.listenDoor !== undefined && { listenDoor: listenAddress(options.listenDoor) }),
    ...(options.listenReviewed !== undefined && { listenReviewed: listenAddress(options.listenReviewed) }),
    authz,
    ...(pathPrefix !== undefined && { pathPrefix }),
    ...(options.namespace !== undefined && { namespace: options.namespace }),
    timeoutMs: parseDuration('--proxy-timeout', options.proxyTimeout),
    retries,
    runtimeApi: options.runtimeApi,
    version: VERSION,
    onError: (error, where) => say(`${where}: ${error instanceof Error ? error.message : String(error)}`),
  }).catch((error: unknown) => {
    throw listenFailure(error)
  })
  const where = 'host' in listen ? `http://${bracketed(listen.host)}:${running.port}` : `unix:${listen.path}`
  console.log(`listening: ${where}`)
  if (listenTls && 'host' in listenTls.address)
    console.log(`listening: https://${bracketed(listenTls.address.host)}:${running.tlsPort}`)
  await stopping.promise
  // Connections would keep it for as long as their clients like.
  setTimeout(() => process.exit(0), 1000).unref()
}

/** Where that is not why, the error itself. */
function listenFailure(error: unknown): unknown {
  if (!(error instanceof Error && 'syscall' in error && error.syscall === 'listen')) return error
  const { code, address = '', port } = error as NodeJS.ErrnoException & { address?: string; port?: number }
  const where = port === undefined || port < 0 ? `unix:${address}` : `${bracketed(address)}:${port}`
  const why = code === 'EADDRINUSE' ? 'is in use' : `cannot be listened on (${code})`
  return new CliError('unavailable', `${where} ${why}: choose another address`, { cause: error })
}

/** Of a process that is given its account. */
async function sessionOf(
  kubeconfig: string,
  context: { context?: string },
): Promise<{ client: Client } & AsyncDisposable> {
  const transport = createHttpTransport(await findConnection({ ...context, kubeconfig, env: {} }))
  return {
    client: createClient(transport, { fieldManager: 'sandbox-router' }),
    [Symbol.asyncDispose]: () => transport[Symbol.asyncDispose](),
  }
}

function refuseToBeOpen(address: ListenAddress, text: string): void {
  if (!('host' in address) || isLoopback(address.host)) return
  throw new CliError(
    'usage',
    `whoever reaches ${text} could execute commands in every sandbox: choose --authz-mode tokenreview or scoped-token, or an address of loopback`,
  )
}

function authzOptions(options: RouterCommandOptions): AuthzOptions {
  const { authzMode: mode, audience, scopedTokenKeys: keysFile, scopedTokenSecret: secretFile } = options
  const scoped = [keysFile, secretFile, options.scopedTokenV1Until].some((value) => value !== undefined)
  if (scoped && mode !== 'scoped-token')
    throw new CliError('usage', '--scoped-token-… options go with --authz-mode scoped-token')
  if (audience.length > 0 && mode !== 'tokenreview')
    throw new CliError('usage', '--audience goes with --authz-mode tokenreview')
  if (mode === 'tokenreview') return { mode, ...(audience.length > 0 && { audiences: audience }) }
  if (mode === 'allow-all') return { mode }
  if (keysFile === undefined && secretFile === undefined)
    throw new CliError(
      'usage',
      '--authz-mode scoped-token needs --scoped-token-keys FILE or --scoped-token-secret FILE',
    )
  const until = firstVersionUntil(options)
  return {
    mode,
    ...(keysFile !== undefined && { keys: readFileSync(keysFile, 'utf8') }),
    ...(secretFile !== undefined && {
      shared: { secret: readFileSync(secretFile), ...(until !== undefined && { until }) },
    }),
  }
}

/** ms since the epoch. Beside tokens of version 2 those of version 1 have to have an end. */
function firstVersionUntil(options: RouterCommandOptions): number | undefined {
  const { scopedTokenKeys, scopedTokenSecret, scopedTokenV1Until: text } = options
  if (text === undefined) {
    if (scopedTokenKeys === undefined || scopedTokenSecret === undefined) return undefined
    throw new CliError('usage', 'with both kinds of keys --scoped-token-v1-until has to say when the secret is dropped')
  }
  const until = Date.parse(text)
  if (scopedTokenSecret === undefined)
    throw new CliError('usage', '--scoped-token-v1-until goes with --scoped-token-secret')
  if (!/^\d{4}-\d\d-\d\dT/.test(text) || Number.isNaN(until))
    throw new CliError('usage', `--scoped-token-v1-until takes a time such as 2026-01-31T00:00:00Z, not ${text}`)
  return until
}

function tlsOptions(options: RouterCommandOptions, authz: AuthzOptions): RouterOptions['listenTls'] {
  const { listenTls, tlsCert, tlsKey, tlsClientCa, tlsClients: clients } = options
  if (listenTls === undefined) {
    if ([tlsCert, tlsKey, tlsClientCa].some((value) => value !== undefined) || clients !== 'off')
      throw new CliError('usage', '--tls-… options go with --listen-tls')
    return undefined
  }
  if (tlsCert === undefined || tlsKey === undefined)
    throw new CliError('usage', '--listen-tls needs --tls-cert FILE and --tls-key FILE')
  if ((clients === 'off') !== (tlsClientCa === undefined))
    throw new CliError('usage', '--tls-clients optional and required go with --tls-client-ca FILE')
  const address = listenAddress(listenTls)
  // Whoever shows a right certificate has been asked who he is.
  if (authz.mode === 'allow-all' && clients !== 'required') refuseToBeOpen(address, listenTls)
  const authority = tlsClientCa === undefined ? {} : { clientAuthorityFile: tlsClientCa }
  return { address, certificateFile: tlsCert, keyFile: tlsKey, clients, ...authority }
}

function listenAddress(text: string): ListenAddress {
  if (text.startsWith('unix:')) return { path: text.slice('unix:'.length) }
  const match = /^(?:\[([^\]]+)\]|([^:]*)):(\d{1,5})$/.exec(text)
  const host = match?.[1] ?? match?.[2] ?? ''
  const port = Number(match?.[3])
  if (!match || port > 65_535)
    throw new CliError('usage', `an address is host:port or unix:PATH, not ${JSON.stringify(text)}`)
  return { host: host || '0.0.0.0', port }
}

function isLoopback(host: string): boolean {
  return host === 'localhost' || host === '::1' || /^127\.\d+\.\d+\.\d+$/.test(host)
}

function bracketed(host: string): string {
  return host.includes(':') ? `[${host}]` : host
}
