import { expect, test } from 'vitest'
import { agentMetrics, cadvisorMetrics, resourceMetrics } from './resource-metrics.ts'
import { createSummary, parseMemoryInfo, parseProcStat } from './summary.ts'

const NOW = Date.UTC(2026, 0, 1, 12)
const STARTED = '2026-01-01T11:59:00Z'

function pod(name: string, containers: string[]): Parameters<typeof Array.of>[0] {
  return {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { name, namespace: 'default', uid: `uid-${name}` },
    status: {
      startTime: STARTED,
      containerStatuses: containers.map((each) => ({ name: each, state: { running: { startedAt: STARTED } } })),
    },
  }
}

const sandbox = (name: string, shared: boolean) => ({
  spec: { id: `uid-${name}-0`, labels: { 'pod-uid': `uid-${name}` }, shared },
  ip: undefined,
  createdAt: NOW - 60_000,
  alive: true,
  containers: [],
})

test('the summary of a node and of its Pods, as JSON and for Prometheus', async () => {
  const summary = await createSummary({
    nodeName: 'here',
    directory: '/',
    now: () => NOW,
    pods: () => [pod('one', ['main']), pod('two', ['a', 'b']), pod('uncounted', ['main']), pod('waiting', [])] as never,
    runtime: {
      list: async () =>
        [sandbox('one', false), sandbox('two', true), sandbox('uncounted', false), sandbox('gone', false)] as never,
      usage: async (id) =>
        id === 'uid-uncounted-0'
          ? undefined
          : { cpuNanoseconds: 6e9, memoryBytes: 3000, workingSetBytes: 2000, pids: 7 },
    },
  })()
  const cpu = { time: '2026-01-01T12:00:00Z', usageNanoCores: 1e8, usageCoreNanoSeconds: 6e9 }
  const memory = { time: '2026-01-01T12:00:00Z', usageBytes: 3000, workingSetBytes: 2000 }
  expect(summary.pods).toEqual([
    {
      podRef: { name: 'one', namespace: 'default', uid: 'uid-one' },
      startTime: STARTED,
      containers: [{ name: 'main', startTime: STARTED, cpu, memory }],
      cpu,
      memory,
      process_stats: { process_count: 7 },
    },
    {
      podRef: { name: 'two', namespace: 'default', uid: 'uid-two' },
      startTime: STARTED,
      containers: [
        { name: 'a', startTime: STARTED },
        { name: 'b', startTime: STARTED },
      ],
      cpu,
      memory,
      process_stats: { process_count: 7 },
    },
    {
      podRef: { name: 'uncounted', namespace: 'default', uid: 'uid-uncounted' },
      startTime: STARTED,
      containers: [{ name: 'main', startTime: STARTED }],
    },
  ])
  expect(summary.node.memory.workingSetBytes).toBeGreaterThan(0)
  expect(summary.node.fs.capacityBytes).toBeGreaterThan(summary.node.fs.availableBytes)
  const text = resourceMetrics(summary)
  expect(text.split('\n').filter((line) => /^(pod|container)_/.test(line))).toEqual([
    'container_cpu_usage_seconds_total{container="main",namespace="default",pod="one"} 6',
    'container_memory_working_set_bytes{container="main",namespace="default",pod="one"} 2000',
    ...['one', 'two', 'two', 'uncounted'].map(
      (name, index) =>
        `container_start_time_seconds{container="${['main', 'a', 'b', 'main'][index]}",namespace="default",pod="${name}"} 1767268740`,
    ),
    'pod_cpu_usage_seconds_total{namespace="default",pod="one"} 6',
    'pod_cpu_usage_seconds_total{namespace="default",pod="two"} 6',
    'pod_memory_working_set_bytes{namespace="default",pod="one"} 2000',
    'pod_memory_working_set_bytes{namespace="default",pod="two"} 2000',
  ])
  expect(cadvisorMetrics({ ...summary, pods: summary.pods.slice(0, 1) }).split('\n')).toEqual([
    '# TYPE container_cpu_usage_seconds_total counter',
    'container_cpu_usage_seconds_total{container="main",cpu="total",namespace="default",pod="one"} 6',
    '# TYPE container_memory_usage_bytes gauge',
    'container_memory_usage_bytes{container="main",namespace="default",pod="one"} 3000',
    '# TYPE container_memory_working_set_bytes gauge',
    'container_memory_working_set_bytes{container="main",namespace="default",pod="one"} 2000',
    '# TYPE container_start_time_seconds gauge',
    'container_start_time_seconds{container="main",namespace="default",pod="one"} 1767268740',
    '',
  ])
  expect(agentMetrics(summary)).toMatch(
    /kubelet_node_name\{node="here"\} 1\n.*kubelet_running_pods 3\n.*kubelet_running_containers\{container_state="running"\} 4\n/s,
  )
})

test('the machine, from /proc', () => {
  const stat = 'cpu  100 10 50 9999 500 5 5 30 20 0\ncpu0 1 1 1 1\nbtime 1767268740\n'
  expect(parseProcStat(stat)).toEqual({ busyNanoseconds: 200e7, bootedAt: 1_767_268_740_000 })
  const memory = 'MemTotal:       100 kB\nMemFree:        20 kB\nMemAvailable:   60 kB\n'
  expect(parseMemoryInfo(memory)).toEqual({ total: 102_400, available: 61_440, free: 20_480 })
})
