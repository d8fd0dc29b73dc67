/** The API server of the embedded cluster, and the administrator's way to it. */
import { renameSync, rmSync, writeFileSync } from 'node:fs'
import { type Certificates, kubeconfig, type RunningApiServer, startApiServer } from '@caisson/apiserver'
import type { SandboxWaker } from '@caisson/client'
import type { SandboxMetrics } from '@caisson/controllers'
import type { Kubelet } from '@caisson/kubelet'
import type { Network } from '@caisson/network'
import type { DataDirectory } from './data-directory.ts'

/** What the API server passes requests on to. They start after it, as its clients. */
export interface LaterParts {
  kubelet?: Kubelet
  network?: Network
  waker?: SandboxWaker
  sandboxMetrics?: SandboxMetrics
}

interface ServeApiOptions {
  host: string
  /** 0 takes a free one. */
  port: number
  nodeName: string
  parts: Readonly<LaterParts>
  onError(error: unknown, where: string): void
}

/** Resolves when it listens. */
export async function serveApi(
  directory: DataDirectory,
  { host, port, nodeName, parts, onError }: ServeApiOptions,
): Promise<RunningApiServer> {
  const api: RunningApiServer = await startApiServer({
    directory: directory.objects,
    certificates: directory.certificates,
    host,
    port,
    node: (name) => (name === nodeName ? parts.kubelet?.api : undefined),
    awaken: (pod, signal) => parts.waker?.wake(pod, signal),
    moreMetrics: async () => (await parts.sandboxMetrics?.text()) ?? '',
    // Admission webhooks that run in this cluster.
    async dialService({ name, namespace, port }, signal) {
      if (!parts.network) throw new Error('the network of this node has not started yet')
      return await parts.network.connect(`${name}.${namespace}.svc`, port, signal)
    },
    onRenewed: (certificates) => writeKubeconfig(directory, api.url, certificates),
    report: (error) => onError(error, 'api server'),
  })
  return api
}

/** The administrator's, in one step, readable to this user alone. */
export function writeKubeconfig(directory: DataDirectory, server: string, certificates: Certificates): void {
  const content = kubeconfig({
    server,
    authority: certificates.authority,
    name: 'caisson',
    user: 'administrator',
    credentials: certificates.administrator,
  })
  const temporary = `${directory.kubeconfig}.${process.pid}`
  try {
    writeFileSync(temporary, `${JSON.stringify(content, null, 2)}\n`, { mode: 0o600 })
    renameSync(temporary, directory.kubeconfig)
  } catch (error) {
    rmSync(temporary, { force: true })
    throw error
  }
}
