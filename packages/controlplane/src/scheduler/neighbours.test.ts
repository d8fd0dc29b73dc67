import type { PodObject, Typed } from '@caisson/client'
import type { Node } from 'kubernetes-types/core/v1.d.ts'
import { describe, expect, test } from 'vitest'
import { createNeighbours, isAverse } from './neighbours.ts'

const ZONE = 'topology.kubernetes.io/zone'
const HOST = 'kubernetes.io/hostname'

const node = (name: string, zone?: string): Typed<Node> => ({
  apiVersion: 'v1',
  kind: 'Node',
  metadata: { name, labels: { [HOST]: name, ...(zone && { [ZONE]: zone }) } },
})
const NODES = [node('a', 'east'), node('b', 'east'), node('c', 'west'), node('bare')]

interface Fields {
  app?: string
  namespace?: string
  spec?: object
  deleted?: boolean
}

const pod = ({ app = 'web', namespace = 'default', spec = {}, deleted }: Fields = {}): PodObject => ({
  apiVersion: 'v1',
  kind: 'Pod',
  metadata: { namespace, labels: { app }, ...(deleted && { deletionTimestamp: '2026-01-01T00:00:00Z' }) },
  spec: { containers: [], ...spec },
})
const term = (app: string, topologyKey = HOST, more: object = {}) => ({
  labelSelector: { matchLabels: { app } },
  topologyKey,
  ...more,
})
const near = (...terms: object[]) => ({
  affinity: { podAffinity: { requiredDuringSchedulingIgnoredDuringExecution: terms } },
})
const apart = (...terms: object[]) => ({
  affinity: { podAntiAffinity: { requiredDuringSchedulingIgnoredDuringExecution: terms } },
})
const spread = (more: object = {}) => ({
  topologySpreadConstraints: [
    {
      maxSkew: 1,
      topologyKey: ZONE,
      whenUnsatisfiable: 'DoNotSchedule',
      labelSelector: { matchLabels: { app: 'web' } },
      ...more,
    },
  ],
})

const NOT_NEAR = "node(s) didn't match pod affinity rules"
const TOO_NEAR = "node(s) didn't match pod anti-affinity rules"
const UNWANTED = "node(s) didn't satisfy existing pods anti-affinity rules"
const UNEVEN = "node(s) didn't match pod topology spread constraints"
const NO_LABEL = `${UNEVEN} (missing required label)`

function problems(own: PodObject, placed: Array<[PodObject, string]>): Array<string | undefined> {
  const all = placed.map(([other, on]) => ({ pod: other, node: on }))
  const labels: Record<string, Record<string, string>> = { other: { team: 'other' }, default: {} }
  const neighbours = createNeighbours(own, {
    nodes: NODES,
    placed: all,
    averse: all.filter((each) => isAverse(each.pod)),
    labelsOfNamespace: (name) => labels[name],
  })
  return NODES.map((each) => neighbours.problemOn(each))
}

describe('where a Pod may be, by who is where: a and b in the east, c in the west, one node without a zone', () => {
  test.each<[string, PodObject, Array<[PodObject, string]>, Array<string | undefined>]>([
    ['a plain one anywhere', pod(), [[pod(), 'a']], [undefined, undefined, undefined, undefined]],
    [
      'away from another, by host',
      pod({ spec: apart(term('web')) }),
      [[pod(), 'a']],
      [TOO_NEAR, undefined, undefined, undefined],
    ],
    ['… by zone', pod({ spec: apart(term('web', ZONE)) }), [[pod(), 'a']], [TOO_NEAR, TOO_NEAR, undefined, undefined]],
    [
      'those of other namespaces are not meant',
      pod({ spec: apart(term('web')) }),
      [[pod({ namespace: 'other' }), 'a']],
      [undefined, undefined, undefined, undefined],
    ],
    [
      '… unless they are named',
      pod({ spec: apart(term('web', HOST, { namespaces: ['other'] })) }),
      [
        [pod({ namespace: 'other' }), 'a'],
        [pod(), 'b'],
      ],
      [TOO_NEAR, undefined, undefined, undefined],
    ],
    [
      '… or selected',
      pod({ spec: apart(term('web', HOST, { namespaceSelector: { matchLabels: { team: 'other' } } })) }),
      [
        [pod({ namespace: 'other' }), 'a'],
        [pod(), 'b'],
      ],
      [TOO_NEAR, undefined, undefined, undefined],
    ],
    [
      'not where another does not want it',
      pod(),
      [[pod({ app: 'shy', spec: apart(term('web', ZONE)) }), 'a']],
      [UNWANTED, UNWANTED, undefined, undefined],
    ],
    [
      'near another, by zone',
      pod({ spec: near(term('db', ZONE)) }),
      [[pod({ app: 'db' }), 'a']],
      [undefined, undefined, NOT_NEAR, NOT_NEAR],
    ],
    ['nowhere while there is none', pod({ spec: near(term('db')) }), [], [NOT_NEAR, NOT_NEAR, NOT_NEAR, NOT_NEAR]],
    [
      'the first of its own kind, where the label is',
      pod({ spec: near(term('web', ZONE)) }),
      [],
      [undefined, undefined, undefined, NOT_NEAR],
    ],
    [
      'evenly: not where there is one more',
      pod({ spec: spread() }),
      [[pod(), 'a']],
      [UNEVEN, UNEVEN, undefined, NO_LABEL],
    ],
    [
      '… as far as it is allowed',
      pod({ spec: spread({ maxSkew: 2 }) }),
      [[pod(), 'a']],
      [undefined, undefined, undefined, NO_LABEL],
    ],
    [
      '… one that goes does not count',
      pod({ spec: spread() }),
      [[pod({ deleted: true }), 'a']],
      [undefined, undefined, undefined, NO_LABEL],
    ],
    [
      '… fewer domains than wanted count as an empty one',
      pod({ spec: spread({ minDomains: 3 }) }),
      [
        [pod(), 'a'],
        [pod(), 'c'],
      ],
      [UNEVEN, UNEVEN, UNEVEN, NO_LABEL],
    ],
    [
      '… a wish is no rule',
      pod({ spec: spread({ whenUnsatisfiable: 'ScheduleAnyway' }) }),
      [[pod(), 'a']],
      [undefined, undefined, undefined, undefined],
    ],
  ])('%s', (_name, own, placed, expected) => {
    expect(problems(own, placed)).toEqual(expected)
  })
})
