import { readFileSync } from 'node:fs'
import type { KubeObject } from '@caisson/api'
import { describe, expect, test } from 'vitest'
import { builtinResources } from '../registry/builtin/index.ts'
import type { Column, Resource } from '../registry/resource.ts'
import { toTable } from './to-table.ts'

/** One row of what kube-apiserver 1.34.4 made of an object at the moment `now`. */
interface Recording {
  now: number
  group: string
  plural: string
  object: KubeObject
  /** Name, type, format and whether only `-o wide` shows it. */
  columns: string[]
  cells: unknown[]
  conditions?: object[]
}

const resources = builtinResources()
const text = readFileSync(new URL('./recorded/tables.jsonl', import.meta.url), 'utf8')
const recordings = text
  .trim()
  .split('\n')
  .map((line) => JSON.parse(line) as Recording)

function resourceOf({ group, plural }: Pick<Recording, 'group' | 'plural'>): Resource {
  return resources.find((resource) => resource.group === group && resource.plural === plural) as Resource
}

test.each(recordings.map((recording) => [recording.plural, JSON.stringify(recording.cells), recording] as const))(
  '%s are shown as kube-apiserver shows them: %s',
  (_plural, _cells, recording) => {
    const table = toTable(resourceOf(recording), [recording.object], { now: recording.now, includeObject: 'None' })
    const columns = table.columnDefinitions?.map(({ name, type, format, priority }) => {
      return `${name}:${type}${format && `/${format}`}${priority ? ' wide' : ''}`
    })
    expect({ columns, rows: table.rows }).toEqual({
      columns: recording.columns,
      rows: [
        {
          cells: recording.cells,
          object: null,
          ...(recording.conditions && { conditions: recording.conditions }),
        },
      ],
    })
  },
)

describe('toTable', () => {
  const created = { metadata: { name: 'a', creationTimestamp: '1970-01-01T00:00:00Z' } }
  const object: KubeObject = { apiVersion: 'example.com/v1', kind: 'Thing', ...created, spec: { size: 3 } }

  function custom(columns: readonly Column[]): Resource {
    return { ...resourceOf({ group: '', plural: 'configmaps' }), group: 'example.com', custom: true, columns }
  }

  test('custom resources have the columns they bring, dates as ages', () => {
    const columns: Column[] = [
      { name: 'Name', type: 'string', format: 'name', cell: ({ metadata }) => metadata.name ?? '' },
      { name: 'Size', type: 'integer', description: 'How big.', priority: 1, cell: () => 3 },
      { name: 'Since', type: 'date', cell: ({ metadata }) => metadata.creationTimestamp ?? null },
    ]
    expect(toTable(custom(columns), [object], { now: 65_000, metadata: { resourceVersion: '7' } })).toEqual({
      kind: 'Table',
      apiVersion: 'meta.k8s.io/v1',
      metadata: { resourceVersion: '7' },
      columnDefinitions: [
        { name: 'Name', type: 'string', format: 'name', description: '', priority: 0 },
        { name: 'Size', type: 'integer', format: '', description: 'How big.', priority: 1 },
        { name: 'Since', type: 'date', format: '', description: '', priority: 0 },
      ],
      rows: [
        {
          cells: ['a', 3, '65s'],
          object: { kind: 'PartialObjectMetadata', apiVersion: 'meta.k8s.io/v1', metadata: created.metadata },
        },
      ],
    })
  })

  test.each([
    ['', '<unknown>'],
    ['1970-01-01T01:00:00,5+01:00', '64s'],
    ['1970', '<invalid>'],
    ['soon', '<invalid>'],
  ])('the date %o is shown as %s', (date, shown) => {
    const columns: Column[] = [{ name: 'Since', type: 'date', cell: () => date }]
    expect(toTable(custom(columns), [object], { now: 65_000 }).rows).toMatchObject([{ cells: [shown] }])
  })

  test('without columns of its own a kind has a name and an age', () => {
    const table = toTable(custom([]), [object], { now: 65_000, includeObject: 'Object', headers: false })
    expect(table).toEqual({
      kind: 'Table',
      apiVersion: 'meta.k8s.io/v1',
      metadata: {},
      columnDefinitions: null,
      rows: [{ cells: ['a', '65s'], object }],
    })
  })
})
