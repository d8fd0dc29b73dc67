/** `/metrics` of the controllers. Names are agent-sandbox's, controller-runtime's and client-go's where they have one for the same. */
import { addProcessMetrics } from '@caisson/api'
import { type EngineMetrics, registerBuildInfo, type SandboxMetrics } from '@caisson/controllers'
import Counter from 'prom-client/lib/counter.js'
import Gauge from 'prom-client/lib/gauge.js'
import Histogram from 'prom-client/lib/histogram.js'
import Registry from 'prom-client/lib/registry.js'
import { VERSION } from '../version.ts'

export interface ControllerMetrics {
  engine: EngineMetrics
  leads(lease: string, leads: boolean): void
  failed(): void
  /** What is counted of Sandboxes and claims, while this process works on them. */
  add(sandboxes: SandboxMetrics): void
  text(): Promise<string>
  contentType: string
}

/** Seconds. */
const FINE = [0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 30, 60]
const RECONCILE = [
  0.005, 0.01, 0.025, 0.05, 0.1, 0.15, 0.2, 0.25, 0.3, 0.35, 0.4, 0.45, 0.5, 0.6, 0.7, 0.8, 0.9, 1, 1.25, 1.5, 1.75, 2,
  2.5, 3, 3.5, 4, 4.5, 5, 6, 7, 8, 9, 10, 15, 20, 25, 30, 40, 50, 60,
]
const QUEUE = Array.from({ length: 12 }, (_, exponent) => 1e-8 * 10 ** exponent)

/** As controller-runtime calls them: by their kinds, where agent-sandbox has the same controllers. */
const NAMES: Readonly<Record<string, string>> = {
  claim: 'sandboxclaim',
  pool: 'sandboxwarmpool',
  template: 'sandboxtemplate',
}

export function createControllerMetrics(): ControllerMetrics {
  const registry = new Registry()
  const registers = [registry]
  const addProcess = addProcessMetrics(registry, async () => (await import('prom-client')).default)
  registerBuildInfo(registry, VERSION)
  let sandboxes: SandboxMetrics | undefined
  const leader = new Gauge({
    name: 'leader_election_master_status',
    help: 'Whether this process holds the Lease.',
    labelNames: ['name'],
    registers,
  })
  const writes = new Counter({
    name: 'caisson_controller_writes_total',
    help: 'Writes to the API server.',
    labelNames: ['controller', 'verb', 'resource', 'result'],
    registers,
  })
  const errors = new Counter({
    name: 'caisson_controller_errors_total',
    help: 'What went wrong, as in the log.',
    registers,
  })
  const queueOf = createQueueMetrics(registry)
  const workers = new Gauge({
    name: 'controller_runtime_max_concurrent_reconciles',
    help: 'Objects that are worked on at the same time.',
    labelNames: ['controller'],
    registers,
  })
  return {
    contentType: registry.contentType,
    async text() {
      await addProcess()
      return (await registry.metrics()) + ((await sandboxes?.text()) ?? '')
    },
    add(added) {
      sandboxes = added
    },
    leads: (lease, leads) => leader.set({ name: lease }, leads ? 1 : 0),
    failed: () => errors.inc(),
    engine: {
      started: (controller, count) => workers.set({ controller: nameOf(controller) }, count),
      queueOf: (controller) => queueOf(nameOf(controller)),
      written: ({ controller, verb, plural, result }) =>
        writes.inc({ controller: nameOf(controller), verb, resource: plural, result }),
    },
  }
}

function nameOf(controller: string): string {
  return NAMES[controller] ?? controller
}

/** Series of controllers' queues, and of the passes over what is in them. */
function createQueueMetrics(
  registry: Registry,
): (controller: string) => ReturnType<NonNullable<EngineMetrics['queueOf']>> {
  const registers = [registry]
  const ofQueue = { labelNames: ['name', 'controller'], registers }
  const ofController = { labelNames: ['controller'], registers }
  const depth = new Gauge({ name: 'workqueue_depth', help: 'Objects that wait for a worker.', ...ofQueue })
  const adds = new Counter({ name: 'workqueue_adds_total', help: 'Objects that began to wait.', ...ofQueue })
  const retries = new Counter({ name: 'workqueue_retries_total', help: 'Passes that come again.', ...ofQueue })
  const waited = new Histogram({
    name: 'workqueue_queue_duration_seconds',
    help: 'From when an object was to be looked at to when it was.',
    buckets: QUEUE,
    ...ofQueue,
  })
  const worked = new Histogram({
    name: 'workqueue_work_duration_seconds',
    help: 'Looking at an object and writing what follows.',
    buckets: QUEUE,
    ...ofQueue,
  })
  const passed = new Histogram({
    name: 'controller_runtime_reconcile_time_seconds',
    help: 'Looking at an object and writing what follows.',
    buckets: RECONCILE,
    ...ofController,
  })
  const passes = new Counter({
    name: 'controller_runtime_reconcile_total',
    help: 'Passes, by how they ended.',
    labelNames: ['controller', 'result'],
    registers,
  })
  const failures = new Counter({
    name: 'controller_runtime_reconcile_errors_total',
    help: 'Passes that failed.',
    ...ofController,
  })
  const fineWaited = new Histogram({
    name: 'caisson_controller_queue_seconds',
    help: 'From when an object was to be looked at to when it was.',
    buckets: FINE,
    ...ofController,
  })
  const finePassed = new Histogram({
    name: 'caisson_controller_pass_seconds',
    help: 'Looking at an object and writing what follows.',
    labelNames: ['controller', 'result'],
    buckets: FINE,
    registers,
  })
  return (controller) => {
    const labels = { name: controller, controller }
    return {
      added: () => adds.inc(labels),
      depth: (waiting) => depth.set(labels, waiting),
      retried: () => retries.inc(labels),
      waited(ms) {
        waited.observe(labels, ms / 1000)
        fineWaited.observe({ controller }, ms / 1000)
      },
      worked(ms, failed) {
        const result = failed ? 'error' : 'success'
        worked.observe(labels, ms / 1000)
        passed.observe({ controller }, ms / 1000)
        passes.inc({ controller, result })
        if (failed) failures.inc({ controller })
        finePassed.observe({ controller, result }, ms / 1000)
      },
    }
  }
}
