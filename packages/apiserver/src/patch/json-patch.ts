/** JSON Patch (RFC 6902), as the library of kube-apiserver understands it. */
import { deepCopy, deepEqual } from '../storage/freeze.ts'
import { define } from './merge-patch.ts'

export interface JsonPatchOperation {
  op: 'add' | 'remove' | 'replace' | 'move' | 'copy' | 'test'
  path: string
  from?: string
  value?: unknown
}

/** The patch is well-formed but does not apply. The message says why. */
export class JsonPatchError extends Error {
  override readonly name = 'JsonPatchError'
  /** Of the operation, counted from zero. */
  operation = 0
}

/** Copies may make a small patch into a large object; beyond this many JSON characters they are refused. */
const MAX_COPIED = 3 << 20
/** Ten thousand insertions at the front of a long list would keep everybody else waiting: nobody means that. */
const MAX_MILLISECONDS = 250

/** What `operations` make of `document`, which is not changed. Throws a `JsonPatchError`. */
export function applyJsonPatch(document: unknown, operations: readonly JsonPatchOperation[]): unknown {
  let root = deepCopy(document)
  let copied = 0
  const deadline = performance.now() + MAX_MILLISECONDS
  for (const [index, operation] of operations.entries()) {
    try {
      if (performance.now() > deadline)
        throw new JsonPatchError(`applying ${operations.length} operations takes more than ${MAX_MILLISECONDS} ms`)
      apply(operation)
    } catch (error) {
      if (error instanceof JsonPatchError) error.operation = index
      throw error
    }
  }
  return root

  function apply(operation: JsonPatchOperation): void {
    // Whoever decoded it cannot know whether it is one.
    if (typeof (operation as Partial<JsonPatchOperation>).path !== 'string')
      throw new JsonPatchError('an operation has to name its path')
    switch (operation.op) {
      case 'add':
        root = add(root, operation.path, deepCopy(operation.value ?? null))
        break
      case 'remove':
        root = remove(root, operation.path)
        break
      case 'replace':
        root = replace(root, operation.path, deepCopy(operation.value ?? null))
        break
      case 'test':
        test(root, operation)
        break
      case 'move': {
        const value = read(root, operation.from ?? '', 'move')
        root = add(remove(root, operation.from ?? ''), operation.path, value)
        break
      }
      case 'copy': {
        const value = deepCopy(read(root, operation.from ?? '', 'copy'))
        copied += JSON.stringify(value).length
        if (copied > MAX_COPIED)
          throw new JsonPatchError(
            `Unable to copy, the accumulated size increase of copy is ${copied}, exceeding the limit ${MAX_COPIED}`,
          )
        root = add(root, operation.path, value)
        break
      }
      default:
        throw new JsonPatchError(`Unexpected kind: ${String(operation.op)}`)
    }
  }
}

type Container = Record<string, unknown> | unknown[]

function parse(path: string): string[] {
  if (path === '') return []
  if (!path.startsWith('/')) throw new JsonPatchError(`path ${JSON.stringify(path)} must start with a slash`)
  return path
    .slice(1)
    .split('/')
    .map((part) => part.replaceAll('~1', '/').replaceAll('~0', '~'))
}

/** The container of what `path` names, and the last step to it. */
function locate(root: unknown, path: string, operation: string): { container: Container; key: string } {
  const parts = parse(path)
  const key = parts.pop()
  if (key === undefined) throw new JsonPatchError(`${operation} operation does not apply to the whole document`)
  let container = root
  for (const part of parts) {
    if (!isContainer(container)) break
    container = Array.isArray(container) ? container[indexOf(container, part, operation, path)] : own(container, part)
  }
  if (!isContainer(container))
    throw new JsonPatchError(`${operation} operation does not apply: doc is missing path: ${JSON.stringify(path)}`)
  return { container, key }
}

function add(root: unknown, path: string, value: unknown): unknown {
  if (path === '') return value
  const { container, key } = locate(root, path, 'add')
  if (!Array.isArray(container)) define(container, key, value)
  else if (key === '-') container.push(value)
  else {
    const index = parseIndex(key, container.length + 1, path)
    container.splice(index, 0, value)
  }
  return root
}

function remove(root: unknown, path: string): unknown {
  const { container, key } = locate(root, path, 'remove')
  if (Array.isArray(container)) container.splice(indexOf(container, key, 'remove', path), 1)
  else {
    if (!Object.hasOwn(container, key))
      throw new JsonPatchError(`remove operation does not apply: doc is missing path: ${JSON.stringify(path)}`)
    delete container[key]
  }
  return root
}

function replace(root: unknown, path: string, value: unknown): unknown {
  if (path === '') return value
  const { container, key } = locate(root, path, 'replace')
  if (Array.isArray(container)) container[indexOf(container, key, 'replace', path)] = value
  else {
    if (!Object.hasOwn(container, key))
      throw new JsonPatchError(`replace operation does not apply: doc is missing key: ${JSON.stringify(path)}`)
    define(container, key, value)
  }
  return root
}

function test(root: unknown, { path, value }: JsonPatchOperation): void {
  const found = path === '' ? root : readOptional(root, path)
  // A test for null also holds where nothing is.
  if (!deepEqual(found ?? null, value ?? null)) throw new JsonPatchError(`testing value ${JSON.stringify(path)} failed`)
}

function read(root: unknown, path: string, operation: string): unknown {
  const { container, key } = locate(root, path, operation)
  if (Array.isArray(container)) return container[indexOf(container, key, operation, path)]
  if (!Object.hasOwn(container, key))
    throw new JsonPatchError(`${operation} operation does not apply: doc is missing from path: ${JSON.stringify(path)}`)
  return container[key]
}

function readOptional(root: unknown, path: string): unknown {
  const { container, key } = locate(root, path, 'test')
  return Array.isArray(container) ? container[indexOf(container, key, 'test', path)] : own(container, key)
}

function own(container: Record<string, unknown>, key: string): unknown {
  return Object.hasOwn(container, key) ? container[key] : undefined
}

function indexOf(list: readonly unknown[], key: string, operation: string, path: string): number {
  const index = parseIndex(key, list.length, path)
  if (index >= list.length) throw new JsonPatchError(`${operation} operation does not apply: invalid index ${key}`)
  return index
}

/** Negative indices count from the end, as the Go library allows. */
function parseIndex(key: string, length: number, path: string): number {
  if (!/^-?\d{1,9}$/.test(key))
    throw new JsonPatchError(`invalid array index ${JSON.stringify(key)} in ${JSON.stringify(path)}`)
  const number = Number(key)
  const index = number < 0 ? number + length : number
  if (index < 0 || index >= length) throw new JsonPatchError(`Unable to access invalid index: ${key}`)
  return index
}

function isContainer(value: unknown): value is Container {
  return typeof value === 'object' && value !== null
}
