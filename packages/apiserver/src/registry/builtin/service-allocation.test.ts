import type { KubeObject } from '@caisson/api'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import type { StrategyContext } from '../resource.ts'
import { serviceStrategy } from './service.ts'

function service(name: string, spec: Record<string, unknown> = {}): KubeObject {
  const object = {
    apiVersion: 'v1',
    kind: 'Service',
    metadata: { name, namespace: 'default' },
    spec: { ports: [{ port: 80 }], ...spec },
  }
  serviceStrategy.defaults?.(object)
  return object
}

function context(stored: readonly KubeObject[], now = 0): StrategyContext {
  return { user: { username: 'test', groups: [] }, now, list: () => stored }
}

function create(object: KubeObject, stored: readonly KubeObject[], now = 0): { [field: string]: unknown } {
  serviceStrategy.prepareForCreate?.(object, context(stored, now))
  return object['spec'] as { [field: string]: unknown }
}

describe('addresses of Services', () => {
  test('no two are ever given the same, whatever the clock says', () => {
    fc.assert(
      fc.property(fc.array(fc.nat(3), { minLength: 2, maxLength: 40 }), (moments) => {
        const stored: KubeObject[] = []
        moments.forEach((now, index) => {
          const object = service(`s${index}`, { type: 'NodePort' })
          create(object, stored, now)
          stored.push(object)
        })
        const specs = stored.map(
          (object) => object['spec'] as { clusterIP: string; ports: Array<{ nodePort: number }> },
        )
        expect(new Set(specs.map(({ clusterIP }) => clusterIP)).size).toBe(stored.length)
        expect(new Set(specs.map(({ ports }) => ports[0]?.nodePort)).size).toBe(stored.length)
        for (const { clusterIP, ports } of specs) {
          expect(clusterIP).toMatch(/^10\.96\.\d+\.\d+$/)
          expect(ports[0]?.nodePort).toBeGreaterThanOrEqual(30_000)
          expect(ports[0]?.nodePort).toBeLessThanOrEqual(32_767)
        }
      }),
    )
  })

  test('the lower 256 are left to those who choose', () => {
    expect(create(service('a'), [], 0)).toMatchObject({ clusterIP: '10.96.1.0', clusterIPs: ['10.96.1.0'] })
    expect(create(service('b', { clusterIP: '10.96.0.10' }), [], 0)).toMatchObject({ clusterIPs: ['10.96.0.10'] })
  })

  test('what is taken is refused', () => {
    const taken = service('a', { clusterIP: '10.96.0.10', type: 'NodePort', ports: [{ port: 80, nodePort: 30_080 }] })
    create(taken, [])
    expect(() => create(service('b', { clusterIP: '10.96.0.10' }), [taken])).toThrow(
      'Service "b" is invalid: spec.clusterIPs: Invalid value: ["10.96.0.10"]: failed to allocate IP 10.96.0.10: provided IP is already allocated',
    )
    const other = service('b', { type: 'NodePort', ports: [{ port: 80, nodePort: 30_080 }] })
    expect(() => create(other, [taken])).toThrow(
      'spec.ports[0].nodePort: Invalid value: 30080: provided port is already allocated',
    )
  })

  test('a headless Service has none, and an update keeps what there is', () => {
    expect(create(service('a', { clusterIP: 'None', selector: { a: 'b' } }), [])).toMatchObject({
      clusterIP: 'None',
      clusterIPs: ['None'],
      ipFamilies: ['IPv4'],
      ipFamilyPolicy: 'SingleStack',
    })
    const current = service('c')
    create(current, [], 7)
    current['status'] = { loadBalancer: {} }
    const next = service('c')
    serviceStrategy.prepareForUpdate?.(next, current, context([current], 9))
    expect((next['spec'] as { clusterIP: string }).clusterIP).toBe((current['spec'] as { clusterIP: string }).clusterIP)
  })
})
