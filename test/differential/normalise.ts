/**
 * Takes out of an answer what two servers cannot agree on and nobody should compare: versions, ids, times, random
 * suffixes.
 */
import type { Answer } from './script.ts'

const TIME = /\b\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z\b/g
const UID = /\b[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}\b/g
const GENERATED = /\b(gen-[a-z]*-|kube-api-access-)[a-z0-9]{5}\b/g

export interface Normaliser {
  answer(answer: Answer): Answer
}

export function createNormaliser(): Normaliser {
  const text = (value: string): string =>
    value
      .replaceAll(TIME, '<time>')
      .replaceAll(UID, '<uid>')
      .replaceAll(GENERATED, '$1<random>')
      .replaceAll(/resource version: \d+/g, 'resource version: <version>')
      .replaceAll(/current: \d+/g, 'current: <version>')
      .replaceAll(/in record \(\d+\)/g, 'in record (<version>)')
      .replaceAll(/\b10\.96\.\d+\.\d+\b/g, '<cluster ip>')
      .replaceAll(/https:\/\/127\.0\.0\.1:\d+/g, '<server>')
  const value = (key: string, given: unknown): unknown => {
    if (typeof given === 'string') {
      if (key === 'resourceVersion') return given === '' ? '' : '<version>'
      if (key === 'continue') return given === '' ? '' : '<continue>'
      if (key === 'token') return '<token>'
      // Kubernetes' own sentences about its fields are not ours to repeat.
      if (key === 'description') return '<description>'
      return text(given)
    }
    if (Array.isArray(given)) return given.map((item: unknown) => value('', item))
    if (typeof given !== 'object' || given === null) return given
    const entries = Object.entries(given).map(([name, item]): [string, unknown] => [name, value(name, item)])
    return Object.fromEntries(entries.sort(([a], [b]) => (a < b ? -1 : a > b ? 1 : 0)))
  }
  return {
    answer: ({ status, contentType, warnings, body }) => ({
      status,
      contentType: contentType.replace(/;\s*charset=utf-8/i, ''),
      warnings: warnings.map(text),
      body: value('', body),
    }),
  }
}
