/** What shows the cluster's own processes where their installation on another cluster would show them. */
import { CONTROLLER_NAME, CONTROLLER_NAMESPACE } from '@caisson/api'
import { type Client, resources } from '@caisson/client'
import { type ControllerLog, createControllerLog } from '@caisson/controllers'
import type { SystemProcess, SystemProcesses } from '@caisson/kubelet'
import { VERSION } from '../version.ts'
import { makeUnlessThere } from './standard-objects.ts'

/** Name, label and ServiceAccount, as agent-sandbox's clients look for them. */
export const ROUTER = 'sandbox-router'
export const ROUTER_SERVICE = 'sandbox-router-svc'
export const ROUTER_PORT = 8080

export interface ControllersProcess extends Disposable {
  log: ControllerLog
  /** The controllers work from now on. */
  ready(): void
}

/** This process as that of the controllers: not ready yet. */
export function registerControllers(processes: SystemProcesses): ControllersProcess {
  const running = { phase: 'running', pid: process.pid, startedAt: startOfProcess() } as const
  const shown: SystemProcess = processes.register({
    namespace: CONTROLLER_NAMESPACE,
    app: CONTROLLER_NAME,
    state: { ...running, ready: false },
  })
  const log = createControllerLog({ write: shown.log, now: Date.now })
  log.said(`caisson ${VERSION}, process ${process.pid}`)
  return {
    log,
    ready: () => shown.update({ ...running, ready: true }),
    [Symbol.dispose]() {
      log.said('Stopping workers')
      shown[Symbol.dispose]()
    },
  }
}

/** ms since the epoch, of this process. Whole seconds: it is part of the name of what runs. */
export function startOfProcess(): number {
  return Math.floor((Date.now() - process.uptime() * 1000) / 1000) * 1000
}

/**
 * Makes what is missing of the namespace, and of each process's ServiceAccount and Deployment. Their Pods come from the
 * Deployments as everywhere, and are these processes; what else somebody makes of them there is left as it is.
 */
export async function systemObjects(client: Client): Promise<void> {
  const namespace = CONTROLLER_NAMESPACE
  await makeUnlessThere(client, resources.namespaces, { metadata: { name: namespace } })
  await Promise.all([
    processObjects(client, CONTROLLER_NAME),
    processObjects(client, ROUTER),
    makeUnlessThere(client, resources.services, {
      metadata: { name: ROUTER_SERVICE, namespace, labels: { app: ROUTER } },
      spec: { selector: { app: ROUTER }, ports: [{ name: 'http', port: ROUTER_PORT, targetPort: ROUTER_PORT }] },
    }),
  ])
}

async function processObjects(client: Client, name: string): Promise<void> {
  const labels = { app: name }
  const namespace = CONTROLLER_NAMESPACE
  await makeUnlessThere(client, resources.serviceAccounts, { metadata: { name, namespace } })
  await makeUnlessThere(client, resources.deployments, {
    metadata: { name, namespace, labels },
    spec: {
      replicas: 1,
      selector: { matchLabels: labels },
      template: {
        metadata: { labels },
        spec: {
          serviceAccountName: name,
          // The process has the account already.
          automountServiceAccountToken: false,
          // The process runs, whatever becomes of the node that shows it.
          tolerations: [{ operator: 'Exists' }],
          containers: [{ name, image: 'caisson.dev/process', imagePullPolicy: 'Never' }],
        },
      },
    },
  })
}
