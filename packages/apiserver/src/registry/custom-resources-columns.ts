/** Printer columns of custom resources. */
import type { KubeObject } from '@caisson/api'
import { sortedKeys } from '../schema/canonical-json.ts'
import { goNumber } from '../schema/go-value.ts'
import { compileJsonPath, type JsonPath, JsonPathError } from '../schema/json-path.ts'
import type { CrdColumn, CrdVersion } from './crd.ts'
import { goJson } from './field-error.ts'
import type { Column } from './resource.ts'

const NAME: Column = {
  name: 'Name',
  type: 'string',
  format: 'name',
  description:
    'Name must be unique within a namespace. Is required when creating resources, although some resources may allow a client to request the generation of an appropriate name automatically. Name is primarily intended for creation idempotence and configuration definition. Cannot be updated. More info: https://kubernetes.io/docs/concepts/overview/working-with-objects/names#names',
  cell: ({ metadata }) => metadata.name ?? '',
}

const AGE: CrdColumn = {
  name: 'Age',
  type: 'date',
  description:
    'CreationTimestamp is a timestamp representing the server time when this object was created. It is not guaranteed to be set in happens-before order across separate operations. Clients may not set this value. It is represented in RFC3339 form and is in UTC.\n\nPopulated by the system. Read-only. Null for lists. More info: https://git.k8s.io/community/contributors/devel/sig-architecture/api-conventions.md#metadata',
  jsonPath: '.metadata.creationTimestamp',
}

/** The name, then the version's columns, or the age where it declares none. */
export function printerColumns(version: CrdVersion): Column[] {
  const declared = version.additionalPrinterColumns ?? []
  return [NAME, ...(declared.length > 0 ? declared : [AGE]).map(column)]
}

function column(declared: CrdColumn): Column {
  let path: JsonPath | undefined
  return {
    name: declared.name,
    type: declared.type,
    ...(declared.format !== undefined && { format: declared.format }),
    description: declared.description || `Custom resource definition column (in JSONPath format): ${declared.jsonPath}`,
    priority: declared.priority ?? 0,
    cell(object) {
      path ??= compiled(declared.jsonPath)
      return cellOf(declared.type, path, object)
    },
  }
}

/** A path that cannot be read prints nothing, as in Kubernetes, rather than failing every list. */
function compiled(text: string): JsonPath {
  try {
    return compileJsonPath(text)
  } catch (error) {
    if (!(error instanceof JsonPathError)) throw error
    return () => []
  }
}

function cellOf(type: CrdColumn['type'], path: JsonPath, object: KubeObject): string | number | boolean | null {
  let found: unknown[]
  try {
    found = path(object)
  } catch (error) {
    if (!(error instanceof JsonPathError)) throw error
    return null
  }
  if (found.length === 0) return null
  const [value] = found
  switch (type) {
    case 'string':
      return text(value)
    case 'integer':
      return typeof value === 'number' ? Math.trunc(value) : null
    case 'number':
      return typeof value === 'number' ? value : null
    case 'boolean':
      return typeof value === 'boolean' ? value : null
    case 'date':
      return typeof value === 'string' ? value : null
    default:
      return null
  }
}

/** As Go's template printer does it: containers as JSON, null as an absent value. */
function text(value: unknown): string {
  if (typeof value === 'string') return value
  if (value === null || value === undefined) return '<no value>'
  if (typeof value === 'number') return goNumber(value)
  return goJson(sortedKeys(value))
}
