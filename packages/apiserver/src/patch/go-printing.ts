/** Decoded JSON as Go's `fmt` prints it: part of messages that clients know. */
import { isObject } from './json-value.ts'

/** Go's %T of a decoded JSON value. */
export function goType(value: unknown): string {
  if (Array.isArray(value)) return '[]interface {}'
  if (typeof value === 'object') return 'map[string]interface {}'
  if (typeof value === 'number') return Number.isInteger(value) ? 'int64' : 'float64'
  return typeof value === 'boolean' ? 'bool' : typeof value
}

const SHOWN = 4096

/** Go's %v: `map[a:1 b:[x y]]`, of a bounded length. */
export function printed(value: unknown): string {
  return cut(plain(value))
}

function plain(value: unknown): string {
  if (Array.isArray(value)) return `[${value.map(plain).join(' ')}]`
  if (!isObject(value)) return typeof value === 'string' ? value : value === null ? '<nil>' : JSON.stringify(value)
  const keys = Object.keys(value).sort()
  return `map[${keys.map((key) => `${key}:${plain(value[key])}`).join(' ')}]`
}

/** Go's %#v: `map[string]interface {}{"a":1}`. */
export function goSyntax(value: unknown): string {
  return cut(syntax(value))
}

function syntax(value: unknown): string {
  if (Array.isArray(value)) return `[]interface {}{${value.map(syntax).join(', ')}}`
  if (!isObject(value)) return value === null ? 'interface {}(nil)' : JSON.stringify(value)
  const keys = Object.keys(value).sort()
  return `map[string]interface {}{${keys.map((key) => `${JSON.stringify(key)}:${syntax(value[key])}`).join(', ')}}`
}

function cut(text: string): string {
  return text.length > SHOWN ? `${text.slice(0, SHOWN)}…` : text
}
