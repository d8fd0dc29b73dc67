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
  return { user: { username: 'test', groups: [] }, now, list: () => stored, builtin: [] }
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

describe('an address that a Service has', () => {
  const current = service('a')
  create(current, [], 7)
  current['status'] = { loadBalancer: {} }

  test('is not another one because somebody asks for it', () => {
    const next = service('a', { clusterIP: '192.0.2.1' })
    serviceStrategy.prepareForUpdate?.(next, current, context([current]))
    expect(serviceStrategy.validateUpdate?.(next, current).map(({ field, message }) => `${field}: ${message}`)).toEqual(
      ['spec.clusterIPs[0]: Invalid value: ["192.0.2.1"]: may not change once set'],
    )
  })

  test('is nobody else’s in another spelling', () => {
    const { clusterIP } = current['spec'] as { clusterIP: string }
    const spelled = clusterIP.replace(/\.(\d+)$/, '.00$1')
    expect(() => create(service('b', { clusterIP: spelled }), [current])).toThrow('provided IP is already allocated')
  })
})

describe('ports of nodes', () => {
  const balanced = { type: 'LoadBalancer', externalTrafficPolicy: 'Local' }

  test('where traffic stays on its node, one more says whether it is there for it', () => {
    const first = service('a', balanced)
    const { healthCheckNodePort, ports } = create(first, []) as { healthCheckNodePort: number; ports: unknown[] }
    expect({ healthCheckNodePort, ports }).toMatchObject({ healthCheckNodePort: 30_001, ports: [{ nodePort: 30_000 }] })
    expect(() => create(service('b', { ...balanced, healthCheckNodePort }), [first])).toThrow(
      'Internal error occurred: failed to allocate requested HealthCheck NodePort 30001: provided port is already allocated',
    )
  })

  test('a port keeps its own by its name', () => {
    const current = service('a', { type: 'NodePort', ports: [{ name: 'web', port: 80 }] })
    create(current, [], 7)
    current['status'] = { loadBalancer: {} }
    const next = service('a', { type: 'NodePort', ports: [{ name: 'web', port: 81 }] })
    serviceStrategy.prepareForUpdate?.(next, current, context([current], 9))
    expect(next['spec']).toMatchObject({ ports: [{ port: 81, nodePort: 30_007 }] })
  })

  test('so many that they run out are looked for once', () => {
    const ports = Array.from({ length: 2_769 }, (_, index) => ({ name: `p${index}`, port: index + 1 }))
    const used = process.cpuUsage()
    expect(() => create(service('a', { type: 'NodePort', ports }), [])).toThrow(
      'failed to allocate a nodePort: range is full',
    )
    const { user } = process.cpuUsage(used)
    expect(user / 1000).toBeLessThan(200)
  })
})
