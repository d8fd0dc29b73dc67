/**
 * How many requests there were and how long they took, by their labels. Every request is counted, so that counting takes
 * one look into a map: prom-client sorts, checks and joins the labels each time, which was a fortieth of all that a
 * create costs. It prints them.
 */
import type { Metric, Registry } from 'prom-client'

export interface RequestSeries<Label extends string> {
  /** @param key one for each set of labels; these are asked for where it is new */
  count(key: string, labels: () => Readonly<Record<Label, string>>, outcome: { code: number; seconds: number }): void
  /** Forgets the series whose labels are like that. */
  forget(isGone: (labels: Readonly<Record<Label, string>>) => boolean): void
}

export interface RequestSeriesNames {
  total: { name: string; help: string }
  duration: { name: string; help: string }
  /** Upper bounds, seconds, in order. */
  buckets: readonly number[]
}

interface Series<Label extends string> {
  labels: Readonly<Record<Label, string>>
  /** Requests by the code of their answer. */
  codes: Map<number, number>
  /** Of each bucket those that are in no smaller one; the last is of those that are in none. */
  buckets: number[]
  seconds: number
}

interface Value {
  labels: Readonly<Record<string, string | number>>
  value: number
  metricName?: string
}

export function createRequestSeries<Label extends string>(
  registry: Registry,
  { total, duration, buckets }: RequestSeriesNames,
): RequestSeries<Label> {
  const known = new Map<string, Series<Label>>()

  function totals(): Value[] {
    return [...known.values()].flatMap(({ labels, codes }) =>
      [...codes].map(([code, value]) => ({ labels: { ...labels, code }, value })),
    )
  }

  function durations(): Value[] {
    return [...known.values()].flatMap(({ labels, buckets: counts, seconds }) => {
      let sum = 0
      const cumulated = counts.map((count, index) => {
        sum += count
        return {
          labels: { le: buckets[index] ?? '+Inf', ...labels },
          value: sum,
          metricName: `${duration.name}_bucket`,
        }
      })
      return [
        ...cumulated,
        { labels, value: seconds, metricName: `${duration.name}_sum` },
        { labels, value: sum, metricName: `${duration.name}_count` },
      ]
    })
  }

  register(registry, { ...total, type: 'counter', values: totals })
  register(registry, { ...duration, type: 'histogram', values: durations })

  return {
    count(key, labels, { code, seconds }) {
      let series = known.get(key)
      if (!series) {
        series = { labels: labels(), codes: new Map(), buckets: [...buckets, 0].fill(0), seconds: 0 }
        known.set(key, series)
      }
      const { codes, buckets: counts } = series
      codes.set(code, (codes.get(code) ?? 0) + 1)
      let index = 0
      while (index < buckets.length && seconds > (buckets[index] as number)) index++
      counts[index] = (counts[index] as number) + 1
      series.seconds += seconds
    },
    forget(isGone) {
      for (const [key, { labels }] of known) if (isGone(labels)) known.delete(key)
    },
  }
}

/** What prom-client needs of a metric to print it. */
function register(
  registry: Registry,
  { values, ...metric }: { name: string; help: string; type: string; values(): Value[] },
): void {
  const printed = { ...metric, get: () => Promise.resolve({ ...metric, values: values() }) }
  registry.registerMetric(printed as unknown as Metric)
}
