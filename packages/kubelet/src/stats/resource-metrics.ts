/** What Prometheus and metrics-server scrape of a kubelet. */
import { family, ofContainers, ofPods } from './exposition.ts'
import type { Summary } from './summary.ts'

const seconds = (nanoseconds: number | undefined): number | undefined =>
  nanoseconds === undefined ? undefined : nanoseconds / 1e9

/** What both pages say of containers in the same words. */
function workingSetsAndStarts(pods: Summary['pods']): string {
  return [
    family(
      'container_memory_working_set_bytes',
      'gauge',
      ofContainers(pods, ({ memory }) => memory?.workingSetBytes),
    ),
    family(
      'container_start_time_seconds',
      'gauge',
      ofContainers(pods, ({ startTime }) => Date.parse(startTime) / 1000 || undefined),
    ),
  ].join('')
}

/** `/metrics/resource` */
export function resourceMetrics({ node, pods }: Summary): string {
  return [
    family(
      'container_cpu_usage_seconds_total',
      'counter',
      ofContainers(pods, ({ cpu }) => seconds(cpu?.usageCoreNanoSeconds)),
    ),
    workingSetsAndStarts(pods),
    family('node_cpu_usage_seconds_total', 'counter', [[{}, node.cpu.usageCoreNanoSeconds / 1e9]]),
    family('node_memory_working_set_bytes', 'gauge', [[{}, node.memory.workingSetBytes]]),
    family(
      'pod_cpu_usage_seconds_total',
      'counter',
      ofPods(pods, ({ cpu }) => seconds(cpu?.usageCoreNanoSeconds)),
    ),
    family(
      'pod_memory_working_set_bytes',
      'gauge',
      ofPods(pods, ({ memory }) => memory?.workingSetBytes),
    ),
    family('resource_scrape_error', 'gauge', [[{}, 0]]),
  ].join('')
}

/** `/metrics/cadvisor`, as far as containers are measured: a sandbox's control group, where it holds one container. */
export function cadvisorMetrics({ pods }: Summary): string {
  return [
    family(
      'container_cpu_usage_seconds_total',
      'counter',
      ofContainers(pods, ({ cpu }) => seconds(cpu?.usageCoreNanoSeconds), { cpu: 'total' }),
    ),
    family(
      'container_memory_usage_bytes',
      'gauge',
      ofContainers(pods, ({ memory }) => memory?.usageBytes),
    ),
    workingSetsAndStarts(pods),
  ].join('')
}

/** `/metrics`: of the agent itself. */
export function agentMetrics({ node, pods }: Summary): string {
  const { user, system } = process.cpuUsage()
  const running = pods.reduce((sum, { containers }) => sum + containers.length, 0)
  return [
    family('kubelet_node_name', 'gauge', [[{ node: node.nodeName }, 1]]),
    family('kubelet_running_pods', 'gauge', [[{}, pods.length]]),
    family('kubelet_running_containers', 'gauge', [[{ container_state: 'running' }, running]]),
    family('process_cpu_seconds_total', 'counter', [[{}, (user + system) / 1e6]]),
    family('process_resident_memory_bytes', 'gauge', [[{}, process.memoryUsage.rss()]]),
    family('process_start_time_seconds', 'gauge', [[{}, Date.now() / 1000 - process.uptime()]]),
  ].join('')
}
