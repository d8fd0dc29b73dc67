/** How `kubectl get` shows FlowSchemas and PriorityLevelConfigurations. */
import type { KubeObject } from '@caisson/api'
import type { Column } from '../registry/resource.ts'
import { AGE, column, list, loose, NAME, text } from './builtin-columns.ts'

export const flowSchemaColumns: readonly Column[] = [
  NAME,
  column('PriorityLevel', (schema) => text(loose(schema)['spec']?.['priorityLevelConfiguration']?.['name'])),
  column('MatchingPrecedence', (schema) => numberOr(loose(schema)['spec']?.['matchingPrecedence'], 0)),
  column('DistinguisherMethod', (schema) => text(loose(schema)['spec']?.['distinguisherMethod']?.['type'], '<none>')),
  AGE,
  column('MissingPL', (schema) => {
    const conditions = list(loose(schema)['status']?.['conditions'])
    return text(conditions.find(({ type }) => text(type) === 'Dangling')?.['status'], '?')
  }),
]

export const priorityLevelColumns: readonly Column[] = [
  NAME,
  column('Type', (level) => text(loose(level)['spec']?.['type'])),
  column('NominalConcurrencyShares', (level) => numberOr(limited(level)?.['nominalConcurrencyShares'], '<none>')),
  column('Queues', (level) => numberOr(queuing(level)?.['queues'], '<none>')),
  column('HandSize', (level) => numberOr(queuing(level)?.['handSize'], '<none>')),
  column('QueueLengthLimit', (level) => numberOr(queuing(level)?.['queueLengthLimit'], '<none>')),
  AGE,
]

function limited(level: KubeObject): ReturnType<typeof loose> | undefined {
  return loose(level)['spec']?.['limited']
}

function queuing(level: KubeObject): ReturnType<typeof loose> | undefined {
  return limited(level)?.['limitResponse']?.['queuing']
}

function numberOr<T>(value: unknown, otherwise: T): number | T {
  return typeof value === 'number' ? value : otherwise
}
