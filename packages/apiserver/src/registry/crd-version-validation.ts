/** Validation of what a version of a CustomResourceDefinition has beside its schema. */
import { SchemaPathError, schemaAt } from '../schema/schema-path.ts'
import type { FieldError } from '../status-error.ts'
import type { CrdVersion } from './crd.ts'
import { duplicate, invalidValue, required, tooMany } from './field-error.ts'

const COLUMN_TYPES = ['boolean', 'date', 'integer', 'number', 'string']
const COLUMN_FORMATS = ['byte', 'date', 'date-time', 'double', 'float', 'int32', 'int64', 'password']
const MAXIMUM_SELECTABLE_FIELDS = 8

export function validateColumns(version: CrdVersion, path: string): FieldError[] {
  return (version.additionalPrinterColumns ?? []).flatMap((column, index) => {
    const at = `${path}[${index}]`
    const errors: FieldError[] = []
    if (!column.name) errors.push(required(`${at}.name`))
    const types = `must be one of ${COLUMN_TYPES.join(',')}`
    if (!column.type) errors.push(required(`${at}.type`, types))
    else if (!COLUMN_TYPES.includes(column.type)) errors.push(invalidValue(`${at}.type`, column.type, types))
    if (column.format && !COLUMN_FORMATS.includes(column.format)) {
      errors.push(invalidValue(`${at}.format`, column.format, `must be one of ${COLUMN_FORMATS.join(',')}`))
    }
    if (!column.jsonPath) errors.push(required(`${at}.JSONPath`))
    else errors.push(...simplePath(column.jsonPath, `${at}.JSONPath`))
    return errors
  })
}

export function validateSubresources(version: CrdVersion, path: string): FieldError[] {
  const scale = version.subresources?.scale
  if (!scale) return []
  const errors: FieldError[] = []
  const check = (field: keyof typeof scale, roots: readonly string[], said: string): void => {
    const value = scale[field]
    const at = `${path}.scale.${field}`
    if (!value) {
      if (field !== 'labelSelectorPath') errors.push(required(at))
      return
    }
    const wrong = simplePath(value, at)
    if (wrong.length > 0) errors.push(...wrong)
    else if (!roots.some((root) => value.startsWith(root))) errors.push(invalidValue(at, value, said))
  }
  check('specReplicasPath', ['.spec.'], 'should be a json path under .spec')
  check('statusReplicasPath', ['.status.'], 'should be a json path under .status')
  check('labelSelectorPath', ['.spec.', '.status.'], 'should be a json path under either .spec or .status')
  return errors
}

function simplePath(path: string, at: string): FieldError[] {
  return path.startsWith('.') ? [] : [invalidValue(at, path, 'must be a simple json path starting with .')]
}

/** @param together whether fields and schema both belong to this version, or both to all versions */
export function validateSelectableFields(version: CrdVersion, path: string, together: boolean): FieldError[] {
  const fields = version.selectableFields ?? []
  const schema = version.schema?.openAPIV3Schema
  if (fields.length === 0) return []
  if (!together || !schema) {
    // So Kubernetes says when it looks for the one where the other is.
    const said = path.startsWith('spec.versions')
      ? 'may only be set when `version.schema.openAPIV3Schema` is not included'
      : 'may only be set when validations.schema is included'
    return [invalidValue(path, '', said)]
  }
  const errors: FieldError[] = []
  const seen = new Set<string>()
  for (const [index, { jsonPath }] of fields.entries()) {
    const at = `${path}[${index}].jsonPath`
    if (!jsonPath) {
      errors.push(required(at))
      continue
    }
    let found: ReturnType<typeof schemaAt>
    try {
      found = schemaAt(schema, jsonPath, { brackets: false })
    } catch (error) {
      if (!(error instanceof SchemaPathError)) throw error
      errors.push(invalidValue(at, jsonPath, `is an invalid path: ${error.message}`))
      continue
    }
    if (found.path.split('.', 1)[0] === 'metadata') {
      errors.push(invalidValue(at, jsonPath, 'must not point to fields in metadata'))
    }
    if (!['string', 'boolean', 'integer'].includes(found.schema.type ?? '')) {
      const said =
        'must point to a field of type string, boolean or integer. Enum string fields and strings with formats are allowed.'
      errors.push(invalidValue(at, jsonPath, said))
    }
    if (seen.has(found.path)) errors.push(duplicate(at, jsonPath))
    seen.add(found.path)
  }
  if (seen.size > MAXIMUM_SELECTABLE_FIELDS) errors.push(tooMany(path, seen.size, MAXIMUM_SELECTABLE_FIELDS))
  return errors
}
