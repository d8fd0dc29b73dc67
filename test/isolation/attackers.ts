/** Where attacks come from: a Pod of a tenant under each runtime, and a sandbox of `caisson run`. */
import type { Cluster } from '../e2e/fixture.ts'
import { inPod, type Place } from './controlled.ts'

export const ATTACKERS = ['a Pod under runsc', 'a Pod under runc', 'a sandbox of caisson run'] as const
export type Attacker = (typeof ATTACKERS)[number]

export interface PodShape {
  spec?: object
  labels?: Record<string, string>
  command?: string[]
  env?: Array<{ name: string; value: string }>
  resources?: object
}

/** A Pod of the host image, which has Python. */
export function pod(namespace: string, name: string, shape: PodShape = {}): object {
  const { spec, labels, command = ['sleep', '1000'], env, resources } = shape
  return {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { name, namespace, labels: { name, ...labels } },
    spec: {
      terminationGracePeriodSeconds: 0,
      containers: [{ name: 'main', image: 'caisson.dev/host', command, env, resources }],
      ...spec,
    },
  }
}

export async function apply(cluster: Cluster, ...items: object[]): Promise<void> {
  await cluster.mustKubectl(['apply', '-f', '-'], { input: JSON.stringify({ apiVersion: 'v1', kind: 'List', items }) })
}

export async function ready(cluster: Cluster, namespace: string): Promise<void> {
  await cluster.mustKubectl(['-n', namespace, 'wait', '--for=condition=Ready', 'pod', '--all', '--timeout=60s'])
}

/** In namespace `team`, which is made, and for `caisson run` in `default`. */
export async function startAttackers(cluster: Cluster): Promise<Record<Attacker, Place>> {
  await cluster.mustKubectl(['create', 'namespace', 'team'])
  await apply(cluster, pod('team', 'runsc'), pod('team', 'runc', { spec: { runtimeClassName: 'runc' } }))
  await cluster.mustCaisson(['run', '--detach', '--name', 'ours', '--', 'sleep', '1000'])
  await ready(cluster, 'team')
  await ready(cluster, 'default')
  return {
    'a Pod under runsc': inPod(cluster, 'team', 'runsc'),
    'a Pod under runc': inPod(cluster, 'team', 'runc'),
    'a sandbox of caisson run': inPod(cluster, 'default', 'ours'),
  }
}
