/** Structural pruning: fields that a schema does not specify are not stored. */
import { isObject, type JsonObject } from '../patch/json-value.ts'
import { below } from '../shown-path.ts'
import { builtinSchema } from './builtin.ts'
import { OBJECT_META } from './embedded-resource.ts'
import { nodeOf, type SchemaNode } from './node.ts'
import type { Schema } from './schema.ts'

/**
 * Removes from `object`, a whole resource, what its schema does not know, in place. Frozen parts are left alone: they are
 * taken over from a stored object that was pruned by the same schema.
 *
 * @returns paths of what was removed, sorted, such as `spec.containers[0].imagePulPolicy`
 */
export function prune(schema: Schema, object: JsonObject): string[] {
  const state: State = { path: [], unknown: [] }
  const node = nodeOf(schema)
  pruneObject(node, object, { keep: preserves(node), resource: true }, state)
  return state.unknown.sort()
}

/** The same for a part of a resource, of any type. */
export function pruneValue(schema: Schema, value: unknown): string[] {
  const state: State = { path: [], unknown: [] }
  const node = nodeOf(schema)
  visit(node, value, preserves(node), state)
  return state.unknown.sort()
}

interface State {
  path: Array<string | number>
  unknown: string[]
}

/** Where `node` is undefined no schema describes the value: its objects have no fields. */
function visit(node: SchemaNode | undefined, value: unknown, keep: boolean, state: State): void {
  if (Array.isArray(value)) {
    const items = node?.items
    // What keeps unknown fields does so for the items of its lists too.
    if (keep && items === undefined) return
    for (let index = 0; index < value.length; index++) {
      if (typeof value[index] !== 'object') continue
      state.path.push(index)
      visit(items, value[index], keep || preserves(items), state)
      state.path.pop()
    }
  } else if (isObject(value)) {
    pruneObject(node, value, { keep, resource: node?.schema['x-kubernetes-embedded-resource'] === true }, state)
  }
}

function preserves(node: SchemaNode | undefined): boolean {
  return node?.schema['x-kubernetes-preserve-unknown-fields'] === true
}

function pruneObject(
  node: SchemaNode | undefined,
  value: JsonObject,
  { keep, resource }: { keep: boolean; resource: boolean },
  state: State,
): void {
  for (const key of Object.keys(value)) {
    if (resource && key === 'metadata') pruneMetadata(value, state)
    else if (!resource || (key !== 'apiVersion' && key !== 'kind')) {
      const child = node?.member(key)
      if (child || node?.schema.additionalProperties === true) pruneMember(child, key, value[key], state)
      else if (!keep) drop(value, key, state)
    }
  }
}

function pruneMember(child: SchemaNode | undefined, key: string, member: unknown, state: State): void {
  if (typeof member !== 'object' || member === null || Object.isFrozen(member)) return
  state.path.push(key)
  visit(child, member, preserves(child), state)
  state.path.pop()
}

function pruneMetadata(resource: JsonObject, state: State): void {
  // Kubernetes reads metadata into a struct and writes that back.
  if (resource['metadata'] === null) resource['metadata'] = {}
  const metadata = resource['metadata']
  if (!isObject(metadata)) return
  const node = nodeOf(builtinSchema(OBJECT_META))
  state.path.push('metadata')
  for (const key of Object.keys(metadata)) {
    const child = node.property(key)
    if (!child) drop(metadata, key, state)
    // Managed fields are the server's own and hold free-form sets of fields.
    else if (key !== 'managedFields') pruneMember(child, key, metadata[key], state)
  }
  state.path.pop()
}

function drop(value: JsonObject, key: string, state: State): void {
  delete value[key]
  state.unknown.push(pathOf([...state.path, key]))
}

function pathOf(path: ReadonlyArray<string | number>): string {
  return path.reduce<string>(
    (text, part) => (typeof part === 'number' ? below(text, `[${part}]`, '') : below(text, part)),
    '',
  )
}
