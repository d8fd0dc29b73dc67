/** What shows the controllers of this process where their installation on another cluster would show them. */
import { type Client, resources } from '@caisson/client'
import { type ControllerLog, createControllerLog } from '@caisson/controllers'
import type { SystemProcess, SystemProcesses } from '@caisson/kubelet'
import { VERSION } from '../version.ts'
import { unlessThere } from './standard-objects.ts'

const SYSTEM_NAMESPACE = 'agent-sandbox-system'
const CONTROLLER = 'agent-sandbox-controller'

export interface ControllersProcess extends Disposable {
  log: ControllerLog
  /** The controllers work from now on. */
  ready(): void
}

/** This process as that of the controllers: not ready yet. */
export function registerControllers(processes: SystemProcesses): ControllersProcess {
  const running = { phase: 'running', pid: process.pid, startedAt: startOfProcess() } as const
  const shown: SystemProcess = processes.register({
    namespace: SYSTEM_NAMESPACE,
    app: CONTROLLER,
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

/** Whole seconds: it is part of the name of what runs. */
function startOfProcess(): number {
  return Math.floor((Date.now() - process.uptime() * 1000) / 1000) * 1000
}

/**
 * Makes what is missing of namespace, ServiceAccount and Deployment. Its Pods come from the Deployment as everywhere, and
 * are this process; what else somebody makes of them there is left as it is.
 */
export async function controllerObjects(client: Client): Promise<void> {
  const labels = { app: CONTROLLER }
  const namespace = SYSTEM_NAMESPACE
  await unlessThere(client.create(resources.namespaces, { metadata: { name: namespace } }))
  await unlessThere(client.create(resources.serviceAccounts, { metadata: { name: CONTROLLER } }, { namespace }))
  await unlessThere(
    client.create(
      resources.deployments,
      {
        metadata: { name: CONTROLLER, labels },
        spec: {
          replicas: 1,
          selector: { matchLabels: labels },
          template: {
            metadata: { labels },
            spec: {
              serviceAccountName: CONTROLLER,
              // The process acts as this account without a token.
              automountServiceAccountToken: false,
              containers: [{ name: CONTROLLER, image: 'caisson.dev/process', imagePullPolicy: 'Never' }],
            },
          },
        },
      },
      { namespace },
    ),
  )
}
