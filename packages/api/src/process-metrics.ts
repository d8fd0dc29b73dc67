import { LONGEST_TIMER } from './timer.ts'

/** What it takes of prom-client's registries. */
interface MetricsRegister {
  getMetricsAsArray(): { name: string }[]
  removeSingleMetric(name: string): void
}

const LOOP_DELAY = /^nodejs_eventloop_lag_(?!seconds$)/

/**
 * Registers prom-client's metrics of the process itself, but for the distribution of the event loop's delay: it is found out
 * by a timer that wakes the process a hundred times a second for as long as it lives. How late the loop is when somebody
 * asks stays (`nodejs_eventloop_lag_seconds`).
 *
 * @param collect prom-client's `collectDefaultMetrics`
 */
export function registerProcessMetrics<R extends MetricsRegister>(
  register: R,
  collect: (options: { register: R; eventLoopMonitoringPrecision: number }) => void,
): void {
  collect({ register, eventLoopMonitoringPrecision: LONGEST_TIMER })
  for (const { name } of register.getMetricsAsArray()) if (LOOP_DELAY.test(name)) register.removeSingleMetric(name)
}
