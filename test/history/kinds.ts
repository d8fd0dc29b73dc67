/** The two kinds that the traffic is of, a built-in and a custom one, and how their objects are written and read. */
import type { Content, Seen, Selection } from './history.ts'

export interface Kind {
  resource: string
  /** Of the collection in one namespace, or in all. */
  path(namespace?: string): string
  /** The whole object. */
  body(name: string, content: Content, padding: string): Record<string, unknown>
  /** A merge patch. */
  patch(content: Partial<Content>, padding: string): Record<string, unknown>
  /** A PUT has to say which revision it replaces. */
  conditionalOnly: boolean
  /** By the colour. */
  fieldSelector: boolean
}

interface Shape {
  resource: string
  root: string
  kind: string
  apiVersion: string
  /** Where the content stands. */
  part: 'data' | 'spec'
}

function createKind({
  resource,
  root,
  kind,
  apiVersion,
  part,
}: Shape): Omit<Kind, 'conditionalOnly' | 'fieldSelector'> {
  return {
    resource,
    path: (namespace) => `${root}${namespace === undefined ? '' : `/namespaces/${namespace}`}/${resource}`,
    body: (name, { value, side, colour }, padding) => ({
      kind,
      apiVersion,
      metadata: { name, ...(side !== '' && { labels: { side } }) },
      [part]: { value, colour, padding },
    }),
    patch: ({ side, ...rest }, padding) => ({
      ...(side !== undefined && { metadata: { labels: { side: side === '' ? null : side } } }),
      [part]: { ...rest, padding },
    }),
  }
}

export const CONFIG_MAPS: Kind = {
  ...createKind({ resource: 'configmaps', root: '/api/v1', kind: 'ConfigMap', apiVersion: 'v1', part: 'data' }),
  conditionalOnly: false,
  fieldSelector: false,
}

const GROUP = 'history.caisson.dev'

export const RECORDS: Kind = {
  ...createKind({
    resource: 'records',
    root: `/apis/${GROUP}/v1`,
    kind: 'Record',
    apiVersion: `${GROUP}/v1`,
    part: 'spec',
  }),
  conditionalOnly: true,
  fieldSelector: true,
}

export const KINDS: readonly Kind[] = [CONFIG_MAPS, RECORDS]

export const RECORD_DEFINITION = {
  kind: 'CustomResourceDefinition',
  apiVersion: 'apiextensions.k8s.io/v1',
  metadata: { name: `records.${GROUP}` },
  spec: {
    group: GROUP,
    scope: 'Namespaced',
    names: { kind: 'Record', listKind: 'RecordList', plural: 'records', singular: 'record' },
    versions: [
      {
        name: 'v1',
        served: true,
        storage: true,
        selectableFields: [{ jsonPath: '.spec.colour' }],
        schema: {
          openAPIV3Schema: {
            type: 'object',
            properties: {
              spec: {
                type: 'object',
                properties: { value: { type: 'string' }, colour: { type: 'string' }, padding: { type: 'string' } },
              },
            },
          },
        },
      },
    ],
  },
}

/** An object as a server writes it. */
export interface WireObject {
  metadata: {
    name: string
    namespace: string
    uid: string
    resourceVersion: string
    labels?: Record<string, string>
  }
  data?: Partial<Content>
  spec?: Partial<Content>
}

export function seenOf(resource: string, { metadata, data, spec }: WireObject): Seen {
  const { value = '', colour = '' } = data ?? spec ?? {}
  return {
    key: `${resource}/${metadata.namespace}/${metadata.name}`,
    uid: metadata.uid,
    revision: Number(metadata.resourceVersion),
    content: { value, side: metadata.labels?.['side'] ?? '', colour },
  }
}

/** The parameters of a list or a watch. */
export function queryOf({ name, side, colour }: Selection): Record<string, string> {
  const fields = [
    ...(name === undefined ? [] : [`metadata.name=${name}`]),
    ...(colour ? [`spec.colour${colour.equal ? '=' : '!='}${colour.value}`] : []),
  ]
  const labels = side && LABELS[side.operator](side.values.join(','))
  return { ...(fields.length > 0 && { fieldSelector: fields.join(',') }), ...(labels && { labelSelector: labels }) }
}

const LABELS = {
  in: (values: string) => `side in (${values})`,
  notin: (values: string) => `side notin (${values})`,
  exists: () => 'side',
  absent: () => '!side',
} as const
