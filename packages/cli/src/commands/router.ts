import { readFileSync } from 'node:fs'
import { type Client, createClient, createHttpTransport, findConnection } from '@caisson/client'
import { type AuthzOptions, type ListenAddress, startRouter } from '@caisson/gateway'
import { CliError } from '../cli-error.ts'
import { openSession } from '../cluster/session.ts'
import { parseDuration } from '../duration.ts'
import type { GlobalOptions } from '../global-options.ts'
import { VERSION } from '../version.ts'

export interface RouterCommandOptions extends GlobalOptions {
  listen: string
  listenAdmin?: string
  listenDoor?: string
  authzMode: AuthzOptions['mode']
  audience: string[]
  scopedTokenKeys?: string
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
  if (authz.mode === 'allow-all' && 'host' in listen && !isLoopback(listen.host)) {
    throw new CliError(
      'usage',
      `whoever reaches ${options.listen} could execute commands in every sandbox: choose --authz-mode tokenreview or scoped-token, or an address of loopback`,
    )
  }
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
  await using session = await (options.kubeconfig === undefined ? openSession(options) : sessionOf(options.kubeconfig))
  await using running = await startRouter({
    client: session.client,
    listen,
    ...(options.listenAdmin !== undefined && { listenAdmin: listenAddress(options.listenAdmin) }),
    ...(options.listenDoor !== undefined && { listenDoor: listenAddress(options.listenDoor) }),
    authz,
    ...(pathPrefix !== undefined && { pathPrefix }),
    ...(options.namespace !== undefined && { namespace: options.namespace }),
    timeoutMs: parseDuration('--proxy-timeout', options.proxyTimeout),
    retries,
    runtimeApi: options.runtimeApi,
    version: VERSION,
    onError: (error, where) =>
      console.error(`caisson: ${where}: ${error instanceof Error ? error.message : String(error)}`),
  })
  const where = 'host' in listen ? `http://${bracketed(listen.host)}:${running.port}` : `unix:${listen.path}`
  console.log(`listening: ${where}`)
  await stopping.promise
  // Connections would keep it for as long as their clients like.
  setTimeout(() => process.exit(0), 1000).unref()
}

/** Of a process that is given its account. */
async function sessionOf(kubeconfig: string): Promise<{ client: Client } & AsyncDisposable> {
  const transport = createHttpTransport(await findConnection({ kubeconfig, env: {} }))
  return {
    client: createClient(transport, { fieldManager: 'sandbox-router' }),
    [Symbol.asyncDispose]: () => transport[Symbol.asyncDispose](),
  }
}

function authzOptions({ authzMode, audience, scopedTokenKeys }: RouterCommandOptions): AuthzOptions {
  if (scopedTokenKeys !== undefined && authzMode !== 'scoped-token')
    throw new CliError('usage', '--scoped-token-keys goes with --authz-mode scoped-token')
  if (audience.length > 0 && authzMode !== 'tokenreview')
    throw new CliError('usage', '--audience goes with --authz-mode tokenreview')
  if (authzMode === 'tokenreview') return { mode: authzMode, ...(audience.length > 0 && { audiences: audience }) }
  if (authzMode === 'allow-all') return { mode: authzMode }
  if (scopedTokenKeys === undefined)
    throw new CliError('usage', '--authz-mode scoped-token needs --scoped-token-keys FILE')
  return { mode: authzMode, keys: readFileSync(scopedTokenKeys, 'utf8') }
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
