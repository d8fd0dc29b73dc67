/** For tests of streaming: a node API around one Pod `default/web` whose container `main` is this machine. */
import type { LogSource } from '../streaming/container-log.ts'
import { createNodeApi, type NodeApi, type NodeApiOptions } from '../streaming/node-api.ts'
import type { ServedContainer, ServedPod } from '../streaming/served-pod.ts'
import type { HostProcesses } from './host-processes.ts'

export function serveOnePod(
  runtime: HostProcesses,
  options: {
    log?: (previous: boolean) => LogSource | string
    tty?: boolean
    connect?: ServedPod['connect']
    summary?: NonNullable<NodeApiOptions['summary']>
  } = {},
): NodeApi {
  const container = (name: string): ServedContainer | undefined =>
    name === 'main' ? { id: 'container', tty: options.tty ?? false } : undefined
  const pod: ServedPod = {
    namespace: 'default',
    name: 'web',
    uid: '11111111-2222-3333-4444-555555555555',
    sandboxId: 'sandbox',
    ...(options.connect && { connect: options.connect }),
    hasContainer: (name) => name === 'main' || name === 'stopped',
    runningContainer: container,
    attachableContainer: container,
    log: (_name, previous) => options.log?.(previous) ?? 'there is no log',
  }
  return createNodeApi({
    runtime,
    ...(options.summary && { summary: options.summary }),
    pods: { find: (namespace, name) => (namespace === 'default' && name === 'web' ? pod : undefined) },
  })
}
