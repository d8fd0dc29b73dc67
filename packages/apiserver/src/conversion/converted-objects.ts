/** Whether what a webhook made of an object is one, in the words of kube-apiserver; and what of its metadata counts. */
import type { KubeObject } from '@caisson/api'
import { isObject } from '../patch/json-value.ts'
import { validateAnnotations, validateLabels } from '../registry/object-meta.ts'
import type { FieldError } from '../status-error.ts'
import { deepCopy } from '../storage/freeze.ts'
import { checkShape } from '../verbs/decode.ts'

/** Says nothing of which webhook and which object: its caller does. */
export class BadConversion extends Error {
  override readonly name = 'BadConversion'
  /** `object` or `metadata`: what is invalid about the answer. */
  readonly part: 'object' | 'metadata' | 'version'
  constructor(part: BadConversion['part'], message: string) {
    super(message)
    this.part = part
  }
}

/** The converted object with the metadata of the original, but for labels and annotations. Throws BadConversion. */
export function checkConverted(original: KubeObject, converted: unknown, apiVersion: string): KubeObject {
  if (!isObject(converted)) throw new BadConversion('version', 'it is no object')
  try {
    checkShape(converted)
  } catch (error) {
    throw new BadConversion('object', (error as Error).message)
  }
  const found = typeof converted['apiVersion'] === 'string' ? converted['apiVersion'] : ''
  const kind = typeof converted['kind'] === 'string' ? converted['kind'] : ''
  if (found !== apiVersion)
    throw new BadConversion('version', `invalid groupVersion (expected ${apiVersion}, received ${found})`)
  if (kind !== original.kind)
    throw new BadConversion('version', `invalid kind (expected ${original.kind}, received ${kind})`)
  const { metadata } = converted
  const given = isObject(metadata) ? metadata : {}
  for (const [field, name] of [
    ['name', 'name'],
    ['namespace', 'namespace'],
    ['uid', 'UID'],
  ] as const) {
    const [expected, got] = [original.metadata[field] ?? '', typeof given[field] === 'string' ? given[field] : '']
    if (expected !== got) throw new BadConversion('object', `must have the same ${name}: ${expected} != ${got}`)
  }
  if (metadata === undefined) throw new BadConversion('metadata', 'missing metadata in converted object')
  if (!isObject(metadata))
    throw new BadConversion('metadata', `invalid metadata of type ${goType(metadata)} in converted object`)
  const restored = deepCopy(original.metadata)
  for (const field of ['labels', 'annotations'] as const) {
    const value = metadata[field]
    if (value === undefined || value === null) delete restored[field]
    else restored[field] = checkedMap(field, value, original.metadata[field] ?? {})
  }
  return { ...converted, apiVersion, kind, metadata: restored }
}

function checkedMap(
  field: 'labels' | 'annotations',
  value: unknown,
  before: Readonly<Record<string, string>>,
): Record<string, string> {
  if (!isObject(value))
    throw new BadConversion('metadata', `invalid metadata.${field} of type ${goType(value)} in converted object`)
  for (const [key, each] of Object.entries(value))
    if (typeof each !== 'string') {
      const said = `metadata.${field}[${key}] must be a string, but is ${goType(each)} in converted object`
      throw new BadConversion('metadata', said)
    }
  const map = value as Record<string, string>
  const changed =
    Object.keys(map).length !== Object.keys(before).length ||
    Object.entries(map).some(([key, each]) => !Object.hasOwn(before, key) || before[key] !== each)
  if (!changed) return map
  const errors: FieldError[] = []
  if (field === 'labels') validateLabels(map, 'metadata.labels', errors)
  else validateAnnotations(map, 'metadata.annotation', errors)
  if (errors.length > 0) {
    const said = errors.map((error) => `${error.field}: ${error.message}`)
    throw new BadConversion('metadata', said.length === 1 ? (said[0] as string) : `[${said.join(', ')}]`)
  }
  return map
}

function goType(value: unknown): string {
  if (value === null) return '<nil>'
  if (Array.isArray(value)) return '[]interface {}'
  if (typeof value === 'boolean') return 'bool'
  if (typeof value === 'number') return Number.isInteger(value) ? 'int64' : 'float64'
  return typeof value === 'string' ? 'string' : 'map[string]interface {}'
}
