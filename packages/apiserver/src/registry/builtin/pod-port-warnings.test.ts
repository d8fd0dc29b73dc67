import fc from 'fast-check'
import type { ContainerPort } from 'kubernetes-types/core/v1.js'
import { expect, test } from 'vitest'
import { portWarnings } from './pod-port-warnings.ts'

const warningsOf = (ports: ContainerPort[]): string[] => portWarnings([['spec.containers[0]', { name: 'main', ports }]])

test('ports that are declared twice, that overlap, and that nobody can tell apart', () => {
  const port = { containerPort: 80, protocol: 'TCP' } as const
  expect(
    warningsOf([
      { ...port, hostPort: 8080, hostIP: '192.0.2.1' },
      { ...port, hostPort: 8080 },
      port,
      { ...port, hostIP: '192.0.2.1' },
      { ...port, protocol: 'UDP', name: 'web' },
      { containerPort: 81, protocol: 'TCP', name: 'web' },
    ]),
  ).toEqual([
    'spec.containers[0].ports[1]: dangerously ambiguous port definition with spec.containers[0].ports[0]',
    'spec.containers[0].ports[2]: overlapping port definition with spec.containers[0].ports[0]',
    'spec.containers[0].ports[2]: overlapping port definition with spec.containers[0].ports[1]',
    'spec.containers[0].ports[3]: hostIP set without hostPort: {Name: HostPort:0 ContainerPort:80 Protocol:TCP HostIP:192.0.2.1}',
    'spec.containers[0].ports[3]: overlapping port definition with spec.containers[0].ports[0]',
    'spec.containers[0].ports[3]: overlapping port definition with spec.containers[0].ports[1]',
    'spec.containers[0].ports[3]: overlapping port definition with spec.containers[0].ports[2]',
    'spec.containers[0].ports[5]: duplicate port name "web" with spec.containers[0].ports[4], services and probes that select ports by name will use spec.containers[0].ports[4]',
  ])
})

test('finds whatever a look at each pair finds', () => {
  const ports = fc.array(
    fc.record({
      containerPort: fc.integer({ min: 1, max: 2 }),
      protocol: fc.constant('TCP'),
      hostPort: fc.integer({ min: 0, max: 3 }),
      hostIP: fc.constantFrom('', '192.0.2.1', '192.0.2.2'),
    }),
    { maxLength: 12 },
  )
  fc.assert(
    fc.property(ports, (given) => {
      expect(conflicts(warningsOf(given))).toEqual(pairs(given))
    }),
  )
})

function conflicts(warnings: readonly string[]): string[] {
  return warnings.filter((warning) => warning.includes(' port definition with '))
}

function pairs(ports: ReadonlyArray<Required<Omit<ContainerPort, 'name'>>>): string[] {
  return ports.flatMap((a, index) =>
    ports.slice(0, index).flatMap((b, other) => {
      if (a.containerPort !== b.containerPort) return []
      const said =
        a.hostIP === b.hostIP && a.hostPort === b.hostPort
          ? 'duplicate'
          : a.hostPort === 0 || b.hostPort === 0
            ? 'overlapping'
            : a.hostPort === b.hostPort && (a.hostIP === '') !== (b.hostIP === '')
              ? 'dangerously ambiguous'
              : undefined
      return said
        ? [`spec.containers[0].ports[${index}]: ${said} port definition with spec.containers[0].ports[${other}]`]
        : []
    }),
  )
}

test.each([
  ['all alike', () => ({ containerPort: 1, protocol: 'TCP' })],
  ['each at a port of the node', (index: number) => ({ containerPort: 1, protocol: 'TCP', hostPort: index + 1 })],
  [
    'each at an address of the node',
    (index: number) => ({ containerPort: 1, protocol: 'TCP', hostPort: 1, hostIP: `a${index}` }),
  ],
])('10,000 ports, %s, have no more warnings than an answer can hold', (_, port) => {
  const warnings = warningsOf(Array.from({ length: 10_000 }, (_each, index) => port(index)))
  expect(warnings.length).toBeLessThan(300)
})
