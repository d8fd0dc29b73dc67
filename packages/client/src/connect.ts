/** Which cluster to talk to when nobody says more. */
import { readFile } from 'node:fs/promises'
import type { ClusterConnection } from './cluster-connection.ts'
import { loadKubeconfig } from './kubeconfig.ts'
import { KubeconfigError } from './kubeconfig-fields.ts'

const SERVICE_ACCOUNT = '/var/run/secrets/kubernetes.io/serviceaccount'

export interface FindConnectionOptions {
  /** A kubeconfig file instead of what the environment says. */
  kubeconfig?: string
  context?: string
  env?: NodeJS.ProcessEnv
}

/**
 * The connection that kubectl would use: a kubeconfig where there is one, otherwise the ServiceAccount of the Pod that
 * this process runs in. Rejects with a KubeconfigError that says what was looked for.
 */
export async function findConnection(options: FindConnectionOptions = {}): Promise<ClusterConnection> {
  const env = options.env ?? process.env
  const config = await loadKubeconfig({ env, ...(options.kubeconfig !== undefined && { path: options.kubeconfig }) })
  const context = options.context === undefined ? {} : { context: options.context }
  if (config.files.length > 0 || options.context !== undefined) return config.connection(context)
  return (await inClusterConnection({ env })) ?? config.connection(context)
}

/** The connection of a Pod's own ServiceAccount; undefined outside of a Pod. */
export async function inClusterConnection(
  options: { env?: NodeJS.ProcessEnv; directory?: string } = {},
): Promise<ClusterConnection | undefined> {
  const env = options.env ?? process.env
  const directory = options.directory ?? SERVICE_ACCOUNT
  const host = env['KUBERNETES_SERVICE_HOST']
  const port = env['KUBERNETES_SERVICE_PORT']
  if (!host || !port) return undefined
  const namespace = await readFile(`${directory}/namespace`, 'utf8').catch((error: unknown) => {
    throw new KubeconfigError(
      `this process runs in a Pod without a ServiceAccount token (${directory} is not there): set automountServiceAccountToken or give a kubeconfig`,
      { cause: error },
    )
  })
  return {
    server: `https://${host.includes(':') ? `[${host}]` : host}:${port}`,
    certificateAuthority: { file: `${directory}/ca.crt` },
    tokenFile: `${directory}/token`,
    namespace: namespace.trim() || 'default',
  }
}
