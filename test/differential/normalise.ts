/**
 * Takes out of an answer what two servers cannot agree on and nobody should compare: versions, ids, times, random
 * suffixes, the order in which Go walks its maps, and the roles that each server brings for its own components.
 */
import type { Answer } from './script.ts'

const TIME = /\b\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z\b/g
const UID = /\b[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}\b/g
const GENERATED = /\b(gen-[a-z]*-|kube-api-access-)[a-z0-9]{5}\b/g

const AGE = /^(\d+[smhdy])+$/

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
      .replaceAll(/Object 'Kind' is missing in '\{.*\}'/gs, "Object 'Kind' is missing in '<object>'")
      .replaceAll(/in record \(\d+\)/g, 'in record (<version>)')
      .replaceAll(/\b10\.96\.\d+\.\d+\b/g, '<cluster ip>')
      .replaceAll(/(https:\/\/)?127\.0\.0\.1:\d+/g, '<server>')
  // The object that a patch made is printed as Go orders its fields.
  const sentence = (said: string): string =>
    text(said.replaceAll(/Invalid value: ("(?:[^"\\]|\\.)*")/g, (whole, quoted: string) => sortedJson(quoted) ?? whole))
  const sortedJson = (quoted: string): string | undefined => {
    try {
      const inner = JSON.parse(quoted) as string
      return inner.startsWith('{') ? `Invalid value: ${JSON.stringify(value('', JSON.parse(inner)))}` : undefined
    } catch {
      return undefined
    }
  }
  const value = (key: string, given: unknown): unknown => {
    if (typeof given === 'string') {
      if (key === 'resourceVersion') return given === '' ? '' : '<version>'
      if (key === 'continue') return given === '' ? '' : '<continue>'
      if (key === 'token') return '<token>'
      // Kubernetes' own sentences about its fields are not ours to repeat.
      if (key === 'description') return '<description>'
      return key === 'message' ? sentence(given) : text(given)
    }
    if (Array.isArray(given)) return list(key, given)
    if (typeof given !== 'object' || given === null) return given
    const entries = Object.entries(unordered(given)).map(([name, item]): [string, unknown] => [
      text(name),
      value(name, item),
    ])
    return Object.fromEntries(entries.sort(([a], [b]) => (a < b ? -1 : a > b ? 1 : 0)))
  }
  const list = (key: string, given: readonly unknown[]): unknown[] => {
    if (key === 'cells')
      return given.map((cell) => (typeof cell !== 'string' ? cell : AGE.test(cell) ? '<age>' : text(cell)))
    const kept = key === 'items' || key === 'rows' ? given.filter((item) => !isBootstrapRole(item)) : given
    const items = kept.map((item: unknown) => value('', item))
    // How often an error is among the causes says how often kube-apiserver's code looks at a field; its message says it once.
    if (key === 'causes')
      return [...new Map(items.map((cause) => [JSON.stringify(cause), cause])).values()].sort(byText)
    // Owners of the same second come in any order, and so do the resources of custom groups.
    return key === 'managedFields' || key === 'resources' ? items.sort(byText) : items
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

function byText(a: unknown, b: unknown): number {
  const [left, right] = [JSON.stringify(a), JSON.stringify(b)]
  return left < right ? -1 : left > right ? 1 : 0
}

/** The message of a Status that lists several errors lists them in the order of its causes, which is none. */
function unordered(given: object): object {
  const { message, details } = given as { message?: unknown; details?: { causes?: Array<Record<string, string>> } }
  const causes = details?.causes
  if (typeof message !== 'string' || !causes || causes.length < 2) return given
  const open = message.indexOf(' is invalid: [')
  if (open < 0) return given
  const parts = new Set(causes.map(({ field, message: said }) => `${field}: ${said}`))
  return { ...given, message: `${message.slice(0, open)} is invalid: [${[...parts].sort().join(', ')}]` }
}

/** Roles that a server makes for its own controllers, or ours for Sandboxes. */
function isBootstrapRole(item: unknown): boolean {
  const { object } = item as { object?: unknown }
  const { metadata } = (object ?? item) as { metadata?: { name?: string; labels?: Record<string, string> } }
  if (metadata?.labels?.['kubernetes.io/bootstrapping'] === 'rbac-defaults') return true
  return /^(agent-sandbox|caisson:)/.test(metadata?.name ?? '')
}
