/** Field selectors in the grammar of `k8s.io/apimachinery/pkg/fields`. */
import type { KubeObject } from '@caisson/api'
import type { Resource } from '../registry/resource.ts'
import { badRequest, quoted } from './errors.ts'

export interface FieldTerm {
  field: string
  equal: boolean
  value: string
}

export type FieldSelector = readonly FieldTerm[]

/** Throws BadRequest for what cannot be parsed. */
export function parseFieldTerms(text: string): FieldSelector {
  const terms: FieldTerm[] = []
  for (const term of splitTerms(text).sort()) {
    if (term === '') continue
    // The first operator splits; there is no escape on its left.
    const match = /!=|==|=/.exec(term)
    if (!match) throw badRequest(`invalid selector: '${text}'; can't understand '${term}'`)
    terms.push({
      field: term.slice(0, match.index),
      equal: match[0] !== '!=',
      value: unescape(term.slice(match.index + match[0].length)),
    })
  }
  return terms
}

/** Whether the fields of an object match: each is looked at once, however often the selector names it. */
export function fieldPredicate(selector: FieldSelector, resource: Resource): (object: KubeObject) => boolean {
  const fields = new Map<string, { equal: Set<string>; unequal: Set<string> }>()
  for (const { field, equal, value } of selector) {
    const own = fields.get(field) ?? { equal: new Set(), unequal: new Set() }
    fields.set(field, own)
    ;(equal ? own.equal : own.unequal).add(value)
  }
  return (object) => {
    for (const [field, { equal, unequal }] of fields) {
      const value = fieldValue(field, object, resource)
      if (unequal.has(value) || equal.size > 1 || (equal.size === 1 && !equal.has(value))) return false
    }
    return true
  }
}

/** The value that the selector pins a field to. */
export function exactField(selector: FieldSelector, field: string): string | undefined {
  return selector.find((term) => term.field === field && term.equal)?.value
}

function fieldValue(field: string, object: KubeObject, resource: Resource): string {
  if (field === 'metadata.name') return object.metadata.name ?? ''
  if (field === 'metadata.namespace') return object.metadata.namespace ?? ''
  return resource.selectableFields[field]?.(object) ?? ''
}

/** Throws BadRequest for a field that the kind does not select by. */
export function requireSelectable(selector: FieldSelector, resource: Resource): void {
  for (const { field } of selector) requireField(field, resource)
}

function requireField(field: string, resource: Resource): void {
  if (field === 'metadata.name' || field === 'metadata.namespace') return
  if (Object.hasOwn(resource.selectableFields, field)) return
  const known = Object.keys(resource.selectableFields).length > 0
  if (resource.custom || known) throw badRequest(`field label not supported: ${field}`)
  throw badRequest(`${quoted(field)} is not a known field selector: only "metadata.name", "metadata.namespace"`)
}

function splitTerms(text: string): string[] {
  const terms: string[] = []
  let start = 0
  for (let index = 0; index < text.length; index++) {
    if (text[index] === '\\') index++
    else if (text[index] === ',') {
      terms.push(text.slice(start, index))
      start = index + 1
    }
  }
  terms.push(text.slice(start))
  return terms
}

function unescape(value: string): string {
  let plain = ''
  for (let index = 0; index < value.length; index++) {
    const character = value[index] as string
    if (character === '\\') {
      const next = value[++index]
      if (next === undefined || !'\\,='.includes(next))
        throw badRequest(`invalid field selector: invalid escape sequence: \\${next ?? ''}`)
      plain += next
    } else if (character === ',' || character === '=')
      throw badRequest(`invalid field selector: unescaped character in value: ${character.charCodeAt(0)}`)
    else plain += character
  }
  return plain
}
