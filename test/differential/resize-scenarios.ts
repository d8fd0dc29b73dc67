/** The subresource `resize` of Pods: what may change of one that is there, and what that is refused with. */
import { type Add, apply, get, merge, PATCHES, post } from './requests.ts'

const PODS = '/api/v1/namespaces/one/pods'

export function resizedPods(add: Add): void {
  const resources = { requests: { cpu: '100m', memory: '64Mi' }, limits: { memory: '128Mi' } }
  const sidecar = { name: 's', image: 'x', restartPolicy: 'Always', resources }
  const setup = { name: 'i', image: 'x', resources }
  const spec = { containers: [{ name: 'a', image: 'x', resources }], initContainers: [sidecar, setup] }
  const pod = (name: string, fields: object): object => ({
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { name },
    spec: fields,
  })
  add('resize: a Pod', post(PODS, pod('sized', spec)))
  add('resize: one that asks for nothing', post(PODS, pod('free', { containers: [{ name: 'a', image: 'x' }] })))
  add(
    'resize: one with resources of its own',
    post(PODS, pod('whole', { containers: spec.containers, resources: { limits: { cpu: '2', memory: '1Gi' } } })),
  )
  add('resize: get', get(`${PODS}/sized/resize`))
  add('resize: get of nobody', get(`${PODS}/nobody/resize`))
  const strategic = (name: string, fields: object) => ({
    method: 'PATCH' as const,
    path: `${PODS}/${name}/resize`,
    body: fields,
    contentType: PATCHES.strategic,
  })
  const main = (fields: object): object => ({ spec: { containers: [{ name: 'a', ...fields }] } })
  const inits = (name: string, fields: object): object => ({ spec: { initContainers: [{ name, ...fields }] } })
  for (const [what, fields] of Object.entries<object>({
    'more memory': main({ resources: { limits: { memory: '1Gi' } } }),
    'a limit that was not there': main({ resources: { limits: { cpu: '1' } } }),
    'the same in other words': main({ resources: { limits: { cpu: '1000m' } } }),
    'what else comes along': {
      metadata: { labels: { a: 'b' } },
      spec: { hostname: 'h', containers: [{ name: 'a', image: 'y' }] },
    },
    'a request above its limit': main({ resources: { requests: { memory: '2Gi' } } }),
    'a limit that goes': main({ resources: { limits: { memory: null } } }),
    'a request that goes': main({ resources: { requests: { cpu: null } } }),
    'all of it goes': main({ resources: null }),
    'another class': main({
      resources: { requests: { cpu: '1', memory: '1Gi' }, limits: { cpu: '1', memory: '1Gi' } },
    }),
    'other resources': main({ resources: { limits: { 'ephemeral-storage': '1Gi' } } }),
    'another policy': main({ resizePolicy: [{ resourceName: 'cpu', restartPolicy: 'RestartContainer' }] }),
    'a container more': { spec: { containers: [{ name: 'b', image: 'x' }] } },
    'a sidecar': inits('s', { resources: { requests: { cpu: '200m' } } }),
    'what a sidecar may not': inits('s', { resources: { requests: { cpu: null } } }),
    'an init container': inits('i', { resources: { requests: { cpu: '200m' } } }),
    'an amount below nothing': main({ resources: { limits: { memory: '-1' } } }),
  }))
    add(`resize: ${what}`, strategic('sized', fields))
  add('resize: of a Pod that asked for nothing', strategic('free', main({ resources: { requests: { cpu: '1' } } })))
  add(
    'resize: of a Pod with resources of its own',
    strategic('whole', main({ resources: { limits: { memory: '2Gi' } } })),
  )
  add('resize: a merge that leaves containers out', merge(`${PODS}/sized/resize`, { spec: { containers: [] } }))
  add(
    'resize: a merge with another name',
    merge(`${PODS}/sized/resize`, { spec: { containers: [{ name: 'b', image: 'x' }] } }),
  )
  const applied = pod('sized', { containers: [{ name: 'a', resources: { limits: { memory: '512Mi' } } }] })
  add('resize: applied', apply(`${PODS}/sized/resize`, applied, 'green'))
  add('resize: applied by force', apply(`${PODS}/sized/resize`, applied, 'green', true))
  add('resize: dry', {
    ...strategic('sized', main({ resources: { limits: { memory: '3Gi' } } })),
    query: { dryRun: 'All' },
  })
  add('resize: put', { method: 'PUT', path: `${PODS}/sized/resize`, body: pod('sized', spec) })
  add('resize: posted', post(`${PODS}/sized/resize`, pod('sized', spec)))
  add('resize: deleted', { method: 'DELETE', path: `${PODS}/sized/resize` })
  add('resize: its own door is as it was', strategic('sized', {}))
  add('resize: by the Pod itself', {
    method: 'PATCH',
    path: `${PODS}/sized`,
    body: main({ resources: { limits: { memory: '2Gi' } } }),
    contentType: PATCHES.strategic,
  })
  const running = { name: 'a', image: 'x', imageID: '', ready: true, restartCount: 0, state: { running: {} } }
  add(
    'resize: a node that says nothing of resources',
    merge(`${PODS}/sized/status`, { status: { containerStatuses: [running] } }),
  )
  add('resize: on that node', strategic('sized', main({ resources: { requests: { cpu: '300m' } } })))
  const told = { ...running, resources: {} }
  add('resize: a node that does', merge(`${PODS}/sized/status`, { status: { containerStatuses: [told] } }))
  add('resize: on this one', strategic('sized', main({ resources: { requests: { cpu: '300m' } } })))
  add('resize: the Pod', get(`${PODS}/sized`))
}
