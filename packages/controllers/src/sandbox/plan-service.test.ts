import { describe, expect, test } from 'vitest'
import type { ObservedSandbox } from './observed-sandbox.ts'
import {
  aReadyPod,
  aSandbox,
  aService,
  conditionsOf,
  HASH,
  OWNER,
  observe,
  plan,
  STRANGER,
  writesOf,
} from './observed-sandbox-fixtures.ts'
import { servicePorts } from './service-ports.ts'

const wanted = aSandbox({ spec: { service: true } })
const unwanted = aSandbox({ spec: { service: false } })
const pods = [aReadyPod()]
const hashLabel = { 'agents.x-k8s.io/sandbox-name-hash': HASH }

test.each<[name: string, observed: ObservedSandbox, writes: string[], service: string | undefined]>([
  ['not mentioned, none: nothing', observe({ pods }), [], undefined],
  ['not mentioned, its own: kept', observe({ pods, service: aService() }), [], 'box'],
  ["not mentioned, nobody's: left alone", observe({ pods, service: aService({ ownerReferences: [] }) }), [], undefined],
  ['wanted, none: made', observe({ sandbox: wanted, pods }), ['create Service box'], undefined],
  ['wanted, its own: kept', observe({ sandbox: wanted, pods, service: aService() }), [], 'box'],
  [
    "wanted, nobody's: adopted",
    observe({ sandbox: wanted, pods, service: aService({ ownerReferences: [] }) }),
    ['patch Service box'],
    undefined,
  ],
  ['unwanted, none: nothing', observe({ sandbox: unwanted, pods }), [], undefined],
  [
    'unwanted, its own: deleted',
    observe({ sandbox: unwanted, pods, service: aService() }),
    ['delete Service box'],
    undefined,
  ],
  [
    'unwanted, its own, going already: nothing',
    observe({ sandbox: unwanted, pods, service: aService({ deletionTimestamp: 'x' }) }),
    [],
    undefined,
  ],
  [
    "unwanted, nobody's: left alone",
    observe({ sandbox: unwanted, pods, service: aService({ ownerReferences: [] }) }),
    [],
    undefined,
  ],
  [
    "unwanted, another's: left alone",
    observe({ sandbox: unwanted, pods, service: aService({ ownerReferences: [STRANGER] }) }),
    [],
    undefined,
  ],
  [
    'wanted while suspended: made',
    observe({ sandbox: aSandbox({ spec: { service: true, operatingMode: 'Suspended' } }) }),
    ['create Service box'],
    undefined,
  ],
  [
    'kept while suspended',
    observe({ sandbox: aSandbox({ spec: { service: true, operatingMode: 'Suspended' } }), service: aService() }),
    [],
    'box',
  ],
  [
    'its own, relabelled and redirected: put right',
    observe({ pods, service: aService({ labels: {} }, { selector: { app: 'other' } }) }),
    ['patch Service box'],
    'box',
  ],
  [
    'several Pods: the Service is not touched, whatever it looks like',
    observe({
      sandbox: aSandbox({
        spec: { service: true },
        status: { service: 'box', serviceFQDN: 'box.ns.svc.cluster.local' },
      }),
      pods: [aReadyPod(), aReadyPod({ name: 'b', uid: 'b' })],
      service: aService({}, { selector: {} }),
    }),
    [],
    'box',
  ],
])('%s', (_name, observed, writes, service) => {
  const given = plan(observed)
  expect(writesOf(given)).toEqual(writes)
  expect([given.status?.service, given.status?.serviceFQDN]).toEqual([service, service && 'box.ns.svc.cluster.local'])
})

test.each([
  [
    "another's Service, wanted",
    wanted,
    aService({ ownerReferences: [STRANGER] }),
    'service "box" is owned by ReplicaSet/web (UID: web-uid), not by sandbox "box"',
  ],
  [
    "another's Service, not mentioned",
    aSandbox(),
    aService({ ownerReferences: [STRANGER] }),
    'service "box" is owned by ReplicaSet/web (UID: web-uid), not by sandbox "box"',
  ],
  [
    "nobody's, unmarked",
    wanted,
    aService({ ownerReferences: [], labels: {} }),
    'cannot adopt unowned service "box": missing required pool authorization label ("agents.x-k8s.io/adoptable") or sandbox tracking label ("agents.x-k8s.io/sandbox-name-hash")',
  ],
  [
    "nobody's, with an address",
    wanted,
    aService({ ownerReferences: [] }, { clusterIP: '10.96.0.7' }),
    'cannot adopt service "box": ClusterIP is "10.96.0.7" (expected "None", field is immutable)',
  ],
])('%s is refused', (_name, sandbox, service, message) => {
  const given = plan(observe({ sandbox, pods, service }))
  expect(writesOf(given)).toEqual([])
  expect(conditionsOf(given).at(-1)).toBe(`Ready=False/ReconcilerError: Error seen: ${message}`)
})

describe('what is written', () => {
  const containers = [{ name: 'main', image: 'x', ports: [{ containerPort: 8080 }] }]

  test('a new Service is headless and selects by the name hash alone', () => {
    const sandbox = aSandbox({ spec: { service: true, podTemplate: { spec: { containers } } } })
    expect(plan(observe({ sandbox, pods })).writes).toMatchObject([
      {
        object: {
          apiVersion: 'v1',
          kind: 'Service',
          metadata: { name: 'box', namespace: 'ns', labels: hashLabel, ownerReferences: [OWNER] },
          spec: {
            clusterIP: 'None',
            selector: hashLabel,
            ports: [{ name: 'p-8080-tcp', protocol: 'TCP', port: 8080, targetPort: 8080 }],
          },
        },
      },
    ])
  })

  test('a patch says only what differs, and what has to go', () => {
    const service = aService({}, { selector: { app: 'other' } })
    expect(plan(observe({ pods, service })).writes).toMatchObject([
      { patch: { metadata: { uid: 'service-uid' }, spec: { selector: { app: null, ...hashLabel } } } },
    ])
  })

  test('ports follow the Pod template while the Service is asked for, and only then', () => {
    const podTemplate = { spec: { containers } }
    const ports = [{ port: 80, protocol: 'TCP', targetPort: 80, name: 'http' }]
    const service = aService({}, { ports })
    const withService = plan(observe({ sandbox: aSandbox({ spec: { service: true, podTemplate } }), pods, service }))
    expect(withService.writes).toMatchObject([
      { patch: { spec: { ports: [{ name: 'p-8080-tcp', port: 8080, protocol: 'TCP', targetPort: 8080 }] } } },
    ])
    expect(plan(observe({ sandbox: aSandbox({ spec: { podTemplate } }), pods, service })).writes).toEqual([])
  })
})

describe('servicePorts', () => {
  const port = (containerPort: number, name?: string, protocol?: string) => ({
    containerPort,
    ...(name && { name }),
    ...(protocol && { protocol }),
  })
  const container = (...ports: ReturnType<typeof port>[]) => ({ name: 'c', image: 'x', ports })
  const summary = (spec: Parameters<typeof servicePorts>[0]) =>
    servicePorts(spec).map(
      ({ name, port, protocol, targetPort }) => `${name ?? ''} ${port}/${protocol ?? ''} -> ${targetPort ?? ''}`,
    )

  test('each port once, in order, under the first name that it is given', () => {
    expect(
      summary({
        containers: [
          container(port(9000), port(80, 'web'), port(53, 'dns', 'UDP')),
          container(port(80, 'other'), port(53), port(0, 'none')),
        ],
        initContainers: [{ ...container(port(7000, 'mesh')), restartPolicy: 'Always' }, container(port(6000, 'setup'))],
      }),
    ).toMatchInlineSnapshot(`
      [
        "p-53-tcp 53/TCP -> 53",
        "dns 53/UDP -> 53",
        "web 80/TCP -> 80",
        "mesh 7000/TCP -> 7000",
        "p-9000-tcp 9000/TCP -> 9000",
      ]
    `)
  })

  test('a name that is taken is not given twice; a made-up one steps aside', () => {
    expect(
      summary({
        containers: [container(port(80, 'web'), port(81, 'web'), port(82, 'p-83-tcp'), port(83), port(84, 'p-81-tcp'))],
      }),
    ).toMatchInlineSnapshot(`
      [
        "web 80/TCP -> 80",
        "p-81-tcp-2 81/TCP -> 81",
        "p-83-tcp 82/TCP -> 82",
        "p-83-tcp-2 83/TCP -> 83",
        "p-81-tcp 84/TCP -> 84",
      ]
    `)
  })

  test('no ports, no ports', () => {
    expect(summary({ containers: [container()] })).toEqual([])
  })
})
