import { PATCHES, type Writer } from './requests.ts'
import type { Request } from './script.ts'

/** Several managers, each with its own part: who owns what, who is refused, what goes when one lets go. */
export function applyConflicts({ random, add }: Writer): void {
  const path = '/api/v1/namespaces/one/configmaps'
  for (let index = 0; index < 30; index++) {
    const name = `applied-${index % 4}`
    const manager = random.pick(['red', 'green', 'blue'])
    const data = Object.fromEntries(
      ['a', 'b', 'c', 'd'].filter(() => random.chance(0.5)).map((key) => [key, random.pick(['1', '2'])]),
    )
    const labels = random.chance(0.4) ? { [random.pick(['x', 'y'])]: random.pick(['1', '2']) } : undefined
    const body = { apiVersion: 'v1', kind: 'ConfigMap', metadata: { name, ...(labels && { labels }) }, data }
    const query = { fieldManager: manager, ...(random.chance(0.4) && { force: 'true' }) }
    add(`apply ${name} as ${manager}`, {
      method: 'PATCH',
      path: `${path}/${name}`,
      contentType: PATCHES.apply,
      body,
      query,
    })
    if (random.chance(0.3)) {
      add(`update of ${name} between`, {
        method: 'PATCH',
        path: `${path}/${name}`,
        contentType: PATCHES.merge,
        body: { data: { [random.pick(['a', 'e'])]: 'updated' } },
        query: { fieldManager: 'editor' },
      })
    }
  }
  const pods = '/api/v1/namespaces/one/pods'
  const pod = (containers: unknown[], extra: object = {}): object => ({
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { name: 'ssa' },
    spec: { containers, ...extra },
  })
  const apply = (manager: string, body: object, force = false): Request => ({
    method: 'PATCH',
    path: `${pods}/ssa`,
    contentType: PATCHES.apply,
    body,
    query: { fieldManager: manager, ...(force && { force: 'true' }) },
  })
  add(
    'apply a pod',
    apply('red', pod([{ name: 'a', image: 'x', ports: [{ containerPort: 80 }], env: [{ name: 'K', value: '1' }] }])),
  )
  add(
    'apply the same pod',
    apply('red', pod([{ name: 'a', image: 'x', ports: [{ containerPort: 80 }], env: [{ name: 'K', value: '1' }] }])),
  )
  add('apply its image as another', apply('green', pod([{ name: 'a', image: 'y' }])))
  add('apply its image as another, by force', apply('green', pod([{ name: 'a', image: 'y' }]), true))
  add(
    'apply a label as a third',
    apply('blue', {
      apiVersion: 'v1',
      kind: 'Pod',
      metadata: { name: 'ssa', labels: { l: '1' }, finalizers: ['example.com/stay'] },
    }),
  )
  add(
    'let the finalizer go',
    apply('blue', { apiVersion: 'v1', kind: 'Pod', metadata: { name: 'ssa', labels: { l: '1' } } }),
  )
  add('the first lets its port go', apply('red', pod([{ name: 'a', image: 'y' }])))
  const services = '/api/v1/namespaces/one/services/ssa'
  const service = (ports: unknown[]): object => ({
    apiVersion: 'v1',
    kind: 'Service',
    metadata: { name: 'ssa' },
    spec: { clusterIP: 'None', ports },
  })
  for (const [manager, ports] of [
    ['red', [{ port: 80, name: 'a' }]],
    ['green', [{ port: 81, name: 'b' }]],
    ['red', [{ port: 82, name: 'c' }]],
    ['green', []],
  ] as Array<[string, unknown[]]>) {
    add(`apply ports as ${manager}`, {
      method: 'PATCH',
      path: services,
      contentType: PATCHES.apply,
      body: service(ports),
      query: { fieldManager: manager },
    })
  }
}
