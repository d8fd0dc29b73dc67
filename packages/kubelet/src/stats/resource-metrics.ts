/** `/metrics/resource` of a kubelet, in Prometheus' text format: what metrics-server scrapes. */
import type { Summary } from './summary.ts'

export function resourceMetrics({ node, pods }: Summary): string {
  const lines: string[] = []
  const family = (name: string, type: 'counter' | 'gauge', samples: Array<[labels: string, value: number]>): void => {
    lines.push(`# TYPE ${name} ${type}`, ...samples.map(([labels, value]) => `${name}${labels} ${value}`))
  }
  const podLabels = ({ podRef }: Summary['pods'][number], container?: string): string =>
    `{${container === undefined ? '' : `container="${container}",`}namespace="${podRef.namespace}",pod="${podRef.name}"}`
  const ofPods = (value: (pod: Summary['pods'][number]) => number | undefined): Array<[string, number]> =>
    pods.flatMap((pod) => {
      const found = value(pod)
      return found === undefined ? [] : [[podLabels(pod), found] as [string, number]]
    })
  type ContainerStats = Summary['pods'][number]['containers'][number]
  const ofContainers = (value: (container: ContainerStats) => number | undefined): Array<[string, number]> =>
    pods.flatMap((pod) =>
      pod.containers.flatMap((container) => {
        const found = value(container)
        return found === undefined ? [] : [[podLabels(pod, container.name), found] as [string, number]]
      }),
    )
  const seconds = (nanoseconds: number | undefined): number | undefined =>
    nanoseconds === undefined ? undefined : nanoseconds / 1e9
  family(
    'container_cpu_usage_seconds_total',
    'counter',
    ofContainers(({ cpu }) => seconds(cpu?.usageCoreNanoSeconds)),
  )
  family(
    'container_memory_working_set_bytes',
    'gauge',
    ofContainers(({ memory }) => memory?.workingSetBytes),
  )
  family(
    'container_start_time_seconds',
    'gauge',
    ofContainers(({ startTime }) => Date.parse(startTime) / 1000 || undefined),
  )
  family('node_cpu_usage_seconds_total', 'counter', [['', node.cpu.usageCoreNanoSeconds / 1e9]])
  family('node_memory_working_set_bytes', 'gauge', [['', node.memory.workingSetBytes]])
  family(
    'pod_cpu_usage_seconds_total',
    'counter',
    ofPods(({ cpu }) => seconds(cpu?.usageCoreNanoSeconds)),
  )
  family(
    'pod_memory_working_set_bytes',
    'gauge',
    ofPods(({ memory }) => memory?.workingSetBytes),
  )
  family('resource_scrape_error', 'gauge', [['', 0]])
  return `${lines.join('\n')}\n`
}
