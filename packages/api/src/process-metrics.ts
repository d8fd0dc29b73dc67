import { LONGEST_TIMER } from './timer.ts'

/** What it takes of prom-client's registries. */
interface MetricsRegister {
  getMetricsAsArray(): { name: string }[]
  getSingleMetric(name: string): object | undefined
  removeSingleMetric(name: string): void
}

/** What it takes of prom-client. */
interface ProcessMetrics<R> {
  collectDefaultMetrics(options: { register: R; eventLoopMonitoringPrecision: number }): void
}

const LOOP_DELAY = /^nodejs_eventloop_lag_(?!seconds$)/

/**
 * prom-client's metrics of the process itself, but for the distribution of the event loop's delay: it is found out by a timer
 * that wakes the process a hundred times a second for as long as it lives. How late the loop is when somebody asks stays
 * (`nodejs_eventloop_lag_seconds`).
 *
 * Loaded when they are first asked for, since a start has better things to do for 40 ms. The CPU time before that counts;
 * collections of garbage (`nodejs_gc_duration_seconds`) are counted from then on.
 *
 * @param load imports prom-client
 * @returns to be waited for before the register is printed
 */
export function addProcessMetrics<R extends MetricsRegister>(
  register: R,
  load: () => Promise<ProcessMetrics<R>>,
): () => Promise<void> {
  let added: Promise<void> | undefined
  // What could not be loaded just now is loaded for whoever asks next.
  const forget = (error: unknown): never => {
    added = undefined
    throw error
  }
  return () => (added ??= add().catch(forget))

  async function add(): Promise<void> {
    const { collectDefaultMetrics } = await load()
    const { user, system } = process.cpuUsage()
    collectDefaultMetrics({ register, eventLoopMonitoringPrecision: LONGEST_TIMER })
    for (const { name } of register.getMetricsAsArray()) if (LOOP_DELAY.test(name)) register.removeSingleMetric(name)
    const spent = { cpu_user: user, cpu_system: system, cpu: user + system }
    for (const [of, microseconds] of Object.entries(spent)) {
      const counter = register.getSingleMetric(`process_${of}_seconds_total`)
      if (counter && isCounter(counter)) counter.inc(microseconds / 1e6)
    }
  }
}

function isCounter(metric: object): metric is { inc(value: number): void } {
  return 'inc' in metric
}
