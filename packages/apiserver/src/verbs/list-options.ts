/** What a list, a watch and a deletecollection select. */
import type { KubeObject } from '@caisson/api'
import type { Resource } from '../registry/resource.ts'
import type { FieldError } from '../status-error.ts'
import type { Call, Query } from './call.ts'
import { badRequest, invalidOptions, quoted } from './errors.ts'
import { exactField, type FieldSelector, fieldPredicate, parseFieldTerms, requireSelectable } from './field-selector.ts'
import { type LabelSelector, labelPredicate, parseLabelSelector } from './label-selector.ts'
import { booleanParameter, integerParameter } from './options.ts'

export interface Selection {
  /** Undefined selects all namespaces, or none where the kind has none. */
  namespace: string | undefined
  /** Only this object. */
  name: string | undefined
  /** Whether labels or fields narrow it further. */
  filtered: boolean
  matches(object: KubeObject): boolean
}

interface Asked {
  limit: number
  continueToken: string
  resourceVersion: string
  resourceVersionMatch: string
  sendInitialEvents: boolean | undefined
  allowWatchBookmarks: boolean
  timeoutSeconds: number | undefined
}

export interface ListOptions extends Asked {
  selection: Selection
}

const NOT_OLDER_THAN = 'NotOlderThan'

export function listOptions(call: Call, resource: Resource, isWatch: boolean): ListOptions {
  const { query } = call
  // In this order: of several things that are wrong the first one is told.
  const timeoutSeconds = integerParameter(query, 'timeoutSeconds')
  const limit = integerParameter(query, 'limit') ?? 0
  const labels = parseLabels(query)
  const fields = query.fieldSelector ? parseFieldTerms(query.fieldSelector) : []
  const options: Asked = {
    limit,
    continueToken: query.continue ?? '',
    resourceVersion: query.resourceVersion ?? '',
    resourceVersionMatch: query.resourceVersionMatch ?? '',
    sendInitialEvents: booleanParameter(query, 'sendInitialEvents'),
    allowWatchBookmarks: booleanParameter(query, 'allowWatchBookmarks') ?? false,
    timeoutSeconds,
  }
  const legacy = options.resourceVersion === '' || options.resourceVersion === '0'
  if (isWatch && legacy && options.sendInitialEvents === undefined && options.resourceVersionMatch === '') {
    options.sendInitialEvents = true
    options.resourceVersionMatch = NOT_OLDER_THAN
  }
  const errors = isWatch ? validateWatch(options) : validateList(options)
  if (errors.length > 0) throw invalidOptions('ListOptions', errors)
  return { ...options, selection: selectionOf(call, resource, labels, fields) }
}

function selectionOf(
  { query, info }: Call,
  resource: Resource,
  labels: LabelSelector,
  fields: FieldSelector,
): Selection {
  requireSelectable(fields, resource)
  const name = info.name || exactField(fields, 'metadata.name')
  if (info.name && fields.some((term) => term.field === 'metadata.name' && (term.value !== info.name) === term.equal))
    throw badRequest(
      `both a name and a field selector that does not match it were given: ${quoted(info.name)}, ${quoted(query.fieldSelector ?? '')}`,
    )
  return {
    namespace: resource.namespaced
      ? info.namespace || exactField(fields, 'metadata.namespace') || undefined
      : undefined,
    name: name || undefined,
    filtered: labels.length > 0 || fields.length > 0,
    matches: matcher(labels, fields, resource),
  }
}

function matcher(labels: LabelSelector, fields: FieldSelector, resource: Resource): (object: KubeObject) => boolean {
  if (labels.length === 0 && fields.length === 0) return () => true
  const [labelled, fitting] = [labelPredicate(labels), fieldPredicate(fields, resource)]
  return (object) => labelled(object.metadata.labels) && fitting(object)
}

function parseLabels(query: Query): LabelSelector {
  if (!query.labelSelector) return []
  try {
    return parseLabelSelector(query.labelSelector)
  } catch (error) {
    throw badRequest((error as Error).message)
  }
}

function forbidden(field: string, detail: string): FieldError {
  return { type: 'FieldValueForbidden', field, message: `Forbidden: ${detail}` }
}

function notSupported(value: string, supported: readonly string[]): FieldError {
  return {
    type: 'FieldValueNotSupported',
    field: 'resourceVersionMatch',
    message: `Unsupported value: ${quoted(value)}: supported values: ${supported.map(quoted).join(', ')}`,
  }
}

function validateList(options: Asked): FieldError[] {
  const errors: FieldError[] = []
  const match = options.resourceVersionMatch
  if (match !== '') {
    const field = 'resourceVersionMatch'
    if (options.resourceVersion === '')
      errors.push(forbidden(field, 'resourceVersionMatch is forbidden unless resourceVersion is provided'))
    if (options.continueToken !== '')
      errors.push(forbidden(field, 'resourceVersionMatch is forbidden when continue is provided'))
    if (match !== 'Exact' && match !== NOT_OLDER_THAN) errors.push(notSupported(match, ['Exact', NOT_OLDER_THAN, '']))
    if (match === 'Exact' && options.resourceVersion === '0')
      errors.push(forbidden(field, 'resourceVersionMatch "exact" is forbidden for resourceVersion "0"'))
  }
  if (options.sendInitialEvents !== undefined)
    errors.push(forbidden('sendInitialEvents', 'sendInitialEvents is forbidden for list'))
  return errors
}

function validateWatch(options: Asked): FieldError[] {
  const errors: FieldError[] = []
  const match = options.resourceVersionMatch
  const field = 'resourceVersionMatch'
  if (options.sendInitialEvents !== undefined && match !== NOT_OLDER_THAN)
    errors.push(forbidden(field, `sendInitialEvents requires setting resourceVersionMatch to ${NOT_OLDER_THAN}`))
  if (match === '') return errors
  if (options.sendInitialEvents === undefined)
    errors.push(forbidden(field, 'resourceVersionMatch is forbidden for watch unless sendInitialEvents is provided'))
  if (match !== NOT_OLDER_THAN) errors.push(notSupported(match, [NOT_OLDER_THAN]))
  if (options.continueToken !== '')
    errors.push(forbidden(field, 'resourceVersionMatch is forbidden when continue is provided'))
  return errors
}
