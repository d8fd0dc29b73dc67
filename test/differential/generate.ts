/** Writes the script: every verb on every kind, its mistakes, and then the scenarios that have an order. */

import type { ConversionClient } from '../../packages/apiserver/src/testing/convert-machines.ts'
import { applyConflicts } from './apply-conflicts.ts'
import { conversionSteps, convertedDefinition } from './conversions.ts'
import { customResourceSteps } from './custom-resources.ts'
import { deletions } from './deletions.ts'
import { discoverySteps } from './discovery.ts'
import { finePrint, finePrintDefinitions } from './fine-print.ts'
import { generatedDefinitions, generatedObjects } from './generated-objects.ts'
import { KINDS } from './kinds.ts'
import { lists, pagination } from './lists.ts'
import { mistakes, objectLife } from './object-life.ts'
import { oddQueries } from './odd-queries.ts'
import { oddRequests } from './odd-requests.ts'
import { openApiSteps, shapeDefinitions } from './openapi-documents.ts'
import { protobufSteps, wireDefinition } from './protobuf.ts'
import { post, type Writer } from './requests.ts'
import { scenarioSteps } from './scenarios.ts'
import { type Step, seeded } from './script.ts'
import { watches } from './watches.ts'

export interface ScriptOptions {
  seed: number
  /** Of each kind's life. */
  rounds: number
  webhook: ConversionClient
  /** Objects of each kind with a mistake from its schema. */
  generated: number
  /** Nothing but these. */
  generatedAlone: boolean
}

/** The same steps for the same seed. */
export function generateScript({ seed, rounds, webhook, generated, generatedAlone }: ScriptOptions): Step[] {
  const random = seeded(seed)
  const steps: Step[] = []
  const add = (label: string, request: Step['request']): void => {
    steps.push({ label: `${steps.length} ${label}`, request })
  }
  const namespaces = ['one', 'two']
  for (const name of namespaces) {
    add(`namespace ${name}`, post('/api/v1/namespaces', { apiVersion: 'v1', kind: 'Namespace', metadata: { name } }))
    // Without the controllers nobody else makes the account that Pods run as.
    add(
      `account of ${name}`,
      post(`/api/v1/namespaces/${name}/serviceaccounts`, {
        apiVersion: 'v1',
        kind: 'ServiceAccount',
        metadata: { name: 'default' },
      }),
    )
  }
  generatedDefinitions(add)
  if (!generatedAlone) writtenSteps({ random, add }, rounds, webhook)
  // Of its own, so that they are the same ones without the rest.
  generatedObjects({ random: seeded(seed), add }, generated)
  oddQueries({ random: seeded(seed), add }, 10 * generated)
  return steps
}

/** What was thought of by hand. */
function writtenSteps({ random, add }: Writer, rounds: number, webhook: ConversionClient): void {
  wireDefinition({ add })
  convertedDefinition(add, webhook)
  finePrintDefinitions(add)
  for (let round = 0; round < rounds; round++) {
    for (const kind of KINDS) objectLife(kind, `o${round}`, { random, add })
  }
  for (const kind of KINDS) mistakes(kind, { random, add })
  lists({ random, add })
  pagination({ random, add })
  applyConflicts({ random, add })
  deletions({ random, add })
  watches({ add, random })
  oddRequests({ random, add })
  for (const { label, request } of customResourceSteps(random)) add(label, request)
  scenarioSteps(add)
  conversionSteps(add, webhook)
  finePrint(add)
  discoverySteps({ add })
  shapeDefinitions({ random, add })
  openApiSteps({ add })
  protobufSteps({ random, add })
}
