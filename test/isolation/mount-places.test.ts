/** Where one tenant mounts something, nothing is left for another who runs on the same image. */
import { afterAll, beforeAll, describe, test } from 'vitest'
import { type Cluster, startCluster } from '../e2e/fixture.ts'
import { apply, pod, ready } from './attackers.ts'
import { expectRefused, inPod } from './controlled.ts'

const PLACES = ['/tenant-a-secret-name/x', '/root/.ssh', '/etc/nologin', '/etc/profile.d/evil.sh', '/begins/here']
const LOOK = 'import json,os,sys\nprint(json.dumps([path for path in sys.argv[1:] if os.path.lexists(path)]))\n'

let cluster: Cluster
const seen: Record<string, { control: string[]; attack: string[] }> = {}
beforeAll(async () => {
  cluster = await startCluster()
  for (const namespace of ['ta', 'tb']) await cluster.mustKubectl(['create', 'namespace', namespace])
  const runtimes = { runsc: {}, runc: { runtimeClassName: 'runc' } }
  await apply(cluster, {
    apiVersion: 'v1',
    kind: 'ConfigMap',
    metadata: { name: 'files', namespace: 'ta' },
    data: { evil: 'echo planted\n' },
  })
  await apply(
    cluster,
    ...Object.entries(runtimes).map(([name, more]) => pod('ta', name, { spec: { ...more, ...mounting() } })),
  )
  await ready(cluster, 'ta')
  for (const name of Object.keys(runtimes))
    seen[name] = { control: (await inPod(cluster, 'ta', name)(LOOK, ...PLACES)) as string[], attack: [] }
  await cluster.mustKubectl(['delete', 'namespace', 'ta'])
  await apply(cluster, ...Object.entries(runtimes).map(([name, more]) => pod('tb', name, { spec: more })))
  await ready(cluster, 'tb')
  for (const [name, found] of Object.entries(seen))
    found.attack = (await inPod(cluster, 'tb', name)(LOOK, ...PLACES)) as string[]
})
afterAll(() => cluster[Symbol.asyncDispose]())

function mounting(): object {
  const file = (mountPath: string): object => ({ name: 'files', mountPath, subPath: 'evil' })
  const directory = (mountPath: string): object => ({ name: 'empty', mountPath })
  return {
    volumes: [
      { name: 'empty', emptyDir: {} },
      { name: 'files', configMap: { name: 'files' } },
    ],
    containers: [
      {
        name: 'main',
        image: 'caisson.dev/host',
        command: ['sleep', '1000'],
        workingDir: '/begins/here',
        volumeMounts: [
          directory('/tenant-a-secret-name/x'),
          directory('/root/.ssh'),
          file('/etc/nologin'),
          file('/etc/profile.d/evil.sh'),
        ],
      },
    ],
  }
}

describe.each(['runsc', 'runc'])('under %s the places of a tenant’s mounts', (runtime) => {
  test.each(PLACES)('are not there for another tenant’s Pod: %s', (place) => {
    const { control = [], attack = [] } = seen[runtime] ?? {}
    expectRefused({ probe: place, control: control.includes(place), attack: attack.includes(place) })
  })
})
