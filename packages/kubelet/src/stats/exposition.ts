/** Prometheus' text format. */
import type { PodStats } from './summary.ts'

export type Samples = ReadonlyArray<readonly [labels: Readonly<Record<string, string>>, value: number]>

export function family(name: string, type: 'counter' | 'gauge', samples: Samples): string {
  const lines = samples.map(([labels, value]) => `${name}${labelsText(labels)} ${value}\n`)
  return `# TYPE ${name} ${type}\n${lines.join('')}`
}

/** Names of Kubernetes need no escapes. */
function labelsText(labels: Readonly<Record<string, string>>): string {
  const pairs = Object.entries(labels).map(([name, value]) => `${name}="${value}"`)
  return pairs.length === 0 ? '' : `{${pairs.join(',')}}`
}

/** Those of which there is a value. */
export function ofPods(pods: readonly PodStats[], value: (pod: PodStats) => number | undefined): Samples {
  return pods.flatMap((pod) => sample({ namespace: pod.podRef.namespace, pod: pod.podRef.name }, value(pod)))
}

export function ofContainers(
  pods: readonly PodStats[],
  value: (container: PodStats['containers'][number]) => number | undefined,
  more: Readonly<Record<string, string>> = {},
): Samples {
  return pods.flatMap(({ podRef: { namespace, name: pod }, containers }) =>
    containers.flatMap((each) => sample({ container: each.name, ...more, namespace, pod }, value(each))),
  )
}

function sample(labels: Record<string, string>, value: number | undefined): Samples {
  return value === undefined ? [] : [[labels, value]]
}
