/** The resources that a CustomResourceDefinition brings: one for each version that it serves. */
import type { KubeObject } from '@caisson/api'
import { deepEqual } from '../patch/json-value.ts'
import { compileJsonPath, type JsonPath } from '../schema/json-path.ts'
import type { FieldError } from '../status-error.ts'
import { acceptedNamesOf, type CrdSpec, type CrdVersion, isEstablished, specOf } from './crd.ts'
import { printerColumns } from './custom-resources-columns.ts'
import { scaleSpecErrors, scaleStatusErrors } from './custom-resources-scale.ts'
import { comparePriority } from './custom-resources-versions.ts'
import { finalizerWarnings } from './custom-resources-warnings.ts'
import type { Conversion, Resource, Strategy, Verb } from './resource.ts'

const VERBS: readonly Verb[] = ['get', 'list', 'watch', 'create', 'update', 'patch', 'delete', 'deletecollection']

/**
 * What is served of a CustomResourceDefinition, in the order of preference; nothing before it is established. Cheap:
 * schemas are shared with the definition and prepared when the first object comes.
 */
export function customResources(crd: KubeObject, conversion?: Conversion): Resource[] {
  if (!isEstablished(crd)) return []
  const spec = specOf(crd)
  return spec.versions
    .filter((version) => version.served)
    .sort((a, b) => comparePriority(a.name, b.name))
    .map((version) => ({ ...customResource(crd, spec, version), ...(conversion && { conversion }) }))
}

function customResource(crd: KubeObject, spec: CrdSpec, version: CrdVersion): Resource {
  const names = acceptedNamesOf(crd)
  const scale = version.subresources?.scale
  const storage = spec.versions.find((one) => one.storage)
  const differs = storage !== undefined && !deepEqual(storage.schema, version.schema)
  return {
    group: spec.group,
    version: version.name,
    kind: names.kind,
    listKind: names.listKind ?? `${names.kind}List`,
    plural: names.plural,
    singular: names.singular ?? names.kind.toLowerCase(),
    shortNames: names.shortNames ?? [],
    categories: names.categories ?? [],
    namespaced: spec.scope === 'Namespaced',
    verbs: VERBS,
    storageVersion: storage?.name ?? version.name,
    schema: version.schema?.openAPIV3Schema ?? {},
    ...(differs && { storageSchema: storage?.schema?.openAPIV3Schema ?? {} }),
    strategy: strategyOf(version),
    columns: printerColumns(version),
    selectableFields: selectableFields(version),
    status: version.subresources?.status !== undefined,
    ...(scale && { scale }),
    structural: true,
    custom: true,
    ...(version.deprecated && { deprecationWarning: deprecationWarning(spec, version) }),
  }
}

function strategyOf(version: CrdVersion): Strategy {
  const hasStatus = version.subresources?.status !== undefined
  const scale = version.subresources?.scale
  const scaleErrors = (object: KubeObject): FieldError[] =>
    scale ? [...scaleSpecErrors(object, scale), ...scaleStatusErrors(object, scale)] : []
  return {
    unconditionalUpdate: false,
    prepareForCreate(object) {
      if (hasStatus) delete object['status']
    },
    validate: scaleErrors,
    validateUpdate: (next) => scaleErrors(next),
    validateStatusUpdate: (next) => (scale ? scaleStatusErrors(next, scale) : []),
    warnings: (object, current) => finalizerWarnings(object, current),
  }
}

/** What each request of a deprecated version is warned with, which points at the newest version that is not. */
function deprecationWarning(spec: CrdSpec, version: CrdVersion): string {
  if (version.deprecationWarning !== undefined) return version.deprecationWarning
  const said = `${spec.group}/${version.name} ${spec.names.kind} is deprecated`
  const [newest] = spec.versions
    .filter((one) => one.served && !one.deprecated && comparePriority(one.name, version.name) < 0)
    .map((one) => one.name)
    .sort(comparePriority)
  return newest === undefined ? said : `${said}; use ${spec.group}/${newest} ${spec.names.kind}`
}

function selectableFields(version: CrdVersion): Resource['selectableFields'] {
  const fields: Record<string, (object: KubeObject) => string> = {}
  for (const { jsonPath } of version.selectableFields ?? []) {
    const path = compileJsonPath(jsonPath)
    fields[jsonPath.replace(/^\./, '')] = (object) => selected(path, object)
  }
  return fields
}

/** Selectable fields are strings, integers and booleans by validation; what is missing is empty. */
function selected(path: JsonPath, object: KubeObject): string {
  const [value] = path(object)
  return typeof value === 'string' || typeof value === 'number' || typeof value === 'boolean' ? String(value) : ''
}
