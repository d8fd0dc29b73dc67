/** `/metrics` of the controllers. Names are agent-sandbox's and client-go's where they have one for the same. */
import type { EngineMetrics } from '@caisson/controllers'
import { Counter, collectDefaultMetrics, Gauge, Histogram, Registry } from 'prom-client'
import { VERSION } from '../version.ts'

export interface ControllerMetrics {
  engine: EngineMetrics
  leads(lease: string, leads: boolean): void
  failed(): void
  text(): Promise<string>
  contentType: string
}

const SECONDS = [0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 30, 60]

export function createControllerMetrics(): ControllerMetrics {
  const registry = new Registry()
  const registers = [registry]
  collectDefaultMetrics({ register: registry })
  new Gauge({
    name: 'agent_sandbox_build_info',
    help: 'The version of the controller.',
    labelNames: ['git_version', 'platform'],
    registers,
  }).set({ git_version: VERSION, platform: `${process.platform}/${process.arch}` }, 1)
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
  const waited = new Histogram({
    name: 'caisson_controller_queue_seconds',
    help: 'From when an object was to be looked at to when it was.',
    buckets: SECONDS,
    registers,
  })
  const worked = new Histogram({
    name: 'caisson_controller_pass_seconds',
    help: 'Looking at an object and writing what follows.',
    labelNames: ['result'],
    buckets: SECONDS,
    registers,
  })
  const retries = new Counter({
    name: 'caisson_controller_retries_total',
    help: 'Passes that failed and come again.',
    registers,
  })
  const errors = new Counter({
    name: 'caisson_controller_errors_total',
    help: 'What went wrong, as in the log.',
    registers,
  })
  return {
    contentType: registry.contentType,
    text: () => registry.metrics(),
    leads: (lease, leads) => leader.set({ name: lease }, leads ? 1 : 0),
    failed: () => errors.inc(),
    engine: {
      waited: (ms) => waited.observe(ms / 1000),
      worked: (ms, failed) => worked.observe({ result: failed ? 'error' : 'success' }, ms / 1000),
      retried: () => retries.inc(),
      written: ({ controller, verb, plural, result }) => writes.inc({ controller, verb, resource: plural, result }),
    },
  }
}
