/** Volumes that hold no more than they should, directories of the machine that may be used, and trees in and out as streams. */
import { execFileSync } from 'node:child_process'
import { existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { type Cluster, run, startCluster } from './fixture.ts'
import { leftovers } from './leftovers.ts'

let cluster: Cluster
let work: string
beforeAll(async () => {
  work = mkdtempSync(join(tmpdir(), 'caisson-storage-'))
  cluster = await startCluster()
})
afterAll(async () => {
  await cluster[Symbol.asyncDispose]()
  rmSync(work, { recursive: true, force: true })
})

const apply = (...items: object[]): Promise<string> =>
  cluster.mustKubectl(['apply', '-f', '-'], { input: JSON.stringify({ apiVersion: 'v1', kind: 'List', items }) })
const ready = (name: string): Promise<string> =>
  cluster.mustKubectl(['wait', '--for=condition=Ready', `pod/${name}`, '--timeout=60s'])
const inPod = (name: string, script: string) => cluster.kubectl(['exec', name, '--', 'sh', '-c', script])

function claim(name: string, storage: string): object {
  return {
    apiVersion: 'v1',
    kind: 'PersistentVolumeClaim',
    metadata: { name },
    spec: { accessModes: ['ReadWriteOnce'], storageClassName: 'sized', resources: { requests: { storage } } },
  }
}

function user(name: string, volume: object, spec: object = {}): object {
  return {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { name },
    spec: {
      terminationGracePeriodSeconds: 0,
      volumes: [{ name: 'v', ...volume }],
      containers: [
        {
          name: 'main',
          image: 'caisson.dev/host',
          command: ['sleep', '1000'],
          volumeMounts: [{ name: 'v', mountPath: '/v' }],
        },
      ],
      ...spec,
    },
  }
}

test('a volume that a Pod has for itself is made with it, and goes with it', async () => {
  const { spec } = claim('', '1Gi') as { spec: object }
  const volumeClaimTemplate = { metadata: { labels: { of: 'own' } }, spec: { ...spec, storageClassName: 'standard' } }
  await apply(user('own', { ephemeral: { volumeClaimTemplate } }))
  await ready('own')
  expect((await inPod('own', 'echo kept >/v/file && cat /v/file')).stdout).toBe('kept\n')
  const claims = (): Promise<string> => cluster.mustKubectl(['get', 'pvc', '-l', 'of=own', '-o', 'name'])
  expect(await claims()).toBe('persistentvolumeclaim/own-v\n')
  await cluster.mustKubectl(['delete', 'pod/own'])
  await expect.poll(claims).toBe('')
})

test('a volume is there for as long as something of a Pod runs that has it, whatever the API says of the Pod', async () => {
  const script = "trap '' TERM; while [ ! -e /v/end ]; do echo more >>/v/log; sleep 0.1; done"
  await apply(
    { ...claim('kept', '32Mi'), spec: { accessModes: ['ReadWriteOnce'], resources: { requests: { storage: '1Gi' } } } },
    user(
      'outlasts',
      { persistentVolumeClaim: { claimName: 'kept' } },
      {
        terminationGracePeriodSeconds: 600,
        containers: [
          {
            name: 'main',
            image: 'caisson.dev/host',
            command: ['sh', '-c', script],
            volumeMounts: [{ name: 'v', mountPath: '/v' }],
          },
        ],
      },
    ),
  )
  await ready('outlasts')
  const volume = await cluster.mustKubectl(['get', 'pvc', 'kept', '-o', 'jsonpath={.spec.volumeName}'])
  const found = async (path: string) =>
    (await cluster.kubectl(['get', 'pv', volume, '--ignore-not-found', '-o', `jsonpath=${path}`])).stdout
  const directory = await found('{.spec.hostPath.path}')
  await cluster.mustKubectl([
    'patch',
    'pod',
    'outlasts',
    '--subresource=status',
    '-p',
    '{"status":{"phase":"Succeeded"}}',
  ])
  await cluster.mustKubectl(['delete', 'pvc', 'kept'])
  await expect.poll(() => found('{.status.phase}')).toBe('Released')
  const size = statSync(join(directory, 'log')).size
  await expect.poll(() => statSync(join(directory, 'log')).size).toBeGreaterThan(size)
  writeFileSync(join(directory, 'end'), '')
  await expect.poll(() => found('{.status.phase}')).toBe('')
  expect(existsSync(directory)).toBe(false)
  await cluster.mustKubectl(['delete', 'pod', 'outlasts'])
})

describe('a claim of class sized', () => {
  const volume = { persistentVolumeClaim: { claimName: 'data' } }

  test('holds what it should and no more, for whoever mounts it, and outlives them', async () => {
    await apply(
      claim('data', '32Mi'),
      user('one', volume),
      user('two', volume, { securityContext: { runAsUser: 1234 } }),
    )
    await Promise.all([ready('one'), ready('two')])
    expect((await inPod('one', 'ls -A /v; echo one >/v/one; cat /v/one')).stdout).toBe('one\n')
    expect((await inPod('two', 'cat /v/one; echo two >/v/two')).stdout).toBe('one\n')
    const full = await inPod('one', 'head -c 64M /dev/zero >/v/full; stat -c %s /v/full')
    expect(full.stderr).toContain('No space left on device')
    expect(Number(full.stdout)).toBeGreaterThan(20 * 2 ** 20)
    expect(Number(full.stdout)).toBeLessThan(32 * 2 ** 20)
    await inPod('one', 'rm /v/full')
    await cluster.mustKubectl(['delete', 'pod', 'one', 'two', '--grace-period=0', '--force'])
    await apply(user('three', volume))
    await ready('three')
    expect((await inPod('three', 'cat /v/one /v/two; ls -A /v')).stdout).toBe('one\ntwo\none\ntwo\n')
  })

  test('is there again after everything was stopped, and nothing of it stays mounted meanwhile', async () => {
    await cluster.mustCaisson(['down'])
    expect(leftovers(cluster.dataDirectory).mounts).toEqual([])
    expect(devices()).toEqual([])
    await cluster.mustCaisson(['up', '--detach'])
    await ready('three')
    expect((await inPod('three', 'cat /v/one')).stdout).toBe('one\n')
  })

  test('goes with its claim', async () => {
    await cluster.mustKubectl(['delete', 'pod', 'three', '--grace-period=0', '--force'])
    await cluster.mustKubectl(['delete', 'pvc', 'data'])
    await expect.poll(() => readdirSync(join(cluster.dataDirectory, 'volumes'))).toEqual([])
    // A Pod that is deleted by force is gone before its sandbox is, which has the volume mounted.
    await expect.poll(devices).toEqual([])
  })

  test('is copied with a sandbox that is forked', async () => {
    const { spec: claimSpec } = claim('work', '32Mi') as { spec: object }
    const { spec } = user('parent', {}) as {
      spec: { volumes?: object[]; containers: Array<{ volumeMounts: object[] }> }
    }
    delete spec.volumes
    spec.containers[0]!.volumeMounts = [{ name: 'work', mountPath: '/v' }]
    await apply({
      apiVersion: 'agents.x-k8s.io/v1beta1',
      kind: 'Sandbox',
      metadata: { name: 'parent' },
      spec: { podTemplate: { spec }, volumeClaimTemplates: [{ metadata: { name: 'work' }, spec: claimSpec }] },
    })
    await cluster.mustKubectl(['wait', '--for=condition=Ready', 'sandbox/parent', '--timeout=60s'])
    await inPod('parent', 'echo before >/v/file')
    const copy = (await cluster.mustCaisson(['fork', 'parent'])).trim()
    await inPod('parent', 'echo after >/v/file')
    expect((await inPod(copy, 'cat /v/file')).stdout).toBe('before\n')
    expect((await inPod(copy, 'head -c 64M /dev/zero >/v/full')).stderr).toContain('No space left on device')
    expect((await inPod('parent', 'cat /v/file; ls -A /v')).stdout).toBe('after\nfile\n')
    await cluster.mustCaisson(['rm', 'parent', copy])
  })

  test('is not made where the disk has no room for it', async () => {
    await apply(claim('huge', '900Ti'), user('waits', { persistentVolumeClaim: { claimName: 'huge' } }))
    const message = async (): Promise<string> =>
      (await cluster.kubectl(['events', '--for=pvc/huge'])).stdout.replaceAll(/\s+/g, ' ')
    await expect.poll(message).toMatch(/ProvisioningFailed .*the disk has no room for a volume of \d+ bytes/)
    await cluster.mustKubectl(['delete', 'pod/waits', 'pvc/huge', '--grace-period=0', '--force'])
    expect(execFileSync('find', [join(cluster.dataDirectory, 'volumes'), '-type', 'f'], { encoding: 'utf8' })).toBe('')
  })
})

/** Loop devices whose files are the cluster's. */
function devices(): string[] {
  return execFileSync('losetup', ['--all', '--noheadings', '--output', 'BACK-FILE'], { encoding: 'utf8' })
    .split('\n')
    .filter((file) => file.includes(cluster.dataDirectory))
}

describe('a tree as a stream', () => {
  test('comes out of one sandbox and goes into another', async () => {
    const sleep = ['--', 'sleep', '1000']
    for (const name of ['source', 'target']) await cluster.mustCaisson(['run', '--detach', '--name', name, ...sleep])
    await cluster.mustCaisson([
      'exec',
      'source',
      '--',
      'sh',
      '-c',
      'mkdir -p /tmp/work/sub; echo x >/tmp/work/sub/file; ln -s sub/file /tmp/work/link; head -c 3000000 /dev/urandom >/tmp/work/large',
    ])
    await cluster.mustCaisson(['exec', 'target', '--', 'mkdir', '/tmp/into'])
    const archive = join(work, 'work.tar')
    const shell = `"$0" cp source:/tmp/work - >${archive} && "$0" cp - target:/tmp/into <${archive}`
    const caisson = join(import.meta.dirname, '../../bin/caisson')
    const outcome = await run('sh', ['-c', shell, caisson], { env: cluster.env })
    expect(outcome).toEqual({ code: 0, stdout: '', stderr: '' })
    expect(execFileSync('tar', ['-tf', archive], { encoding: 'utf8' }).split('\n').sort()).toEqual([
      '',
      './work/',
      './work/large',
      './work/link',
      './work/sub/',
      './work/sub/file',
    ])
    const sum = 'cd /tmp/*/work 2>/dev/null || cd /tmp/work; cat link; sha256sum large'
    const [source, target] = await Promise.all(
      ['source', 'target'].map((name) => cluster.mustCaisson(['exec', name, '--', 'sh', '-c', sum])),
    )
    expect(target).toBe(source)
    expect(target).toMatch(/^x\n[0-9a-f]{64} {2}large\n$/)
  })

  test('that cannot be read or taken is told', async () => {
    expect(await cluster.caisson(['cp', 'source:/tmp/nothing', '-'])).toMatchObject({ code: 66 })
    const into = await cluster.caisson(['cp', '-', 'target:/tmp/nothing'], { input: 'no archive' })
    expect(into).toMatchObject({ code: 1, stderr: expect.stringContaining('tar ended with') })
    const broken = await cluster.caisson(['cp', '-', 'target:/tmp/into'], { input: 'no archive'.repeat(200) })
    expect(broken).toMatchObject({ code: 1, stderr: expect.stringContaining('tar ended with') })
  })
})

describe('where node.yaml says which directories hostPath volumes may be', () => {
  test('others are not mounted, and the Pod says why', async () => {
    const [allowed, other] = [join(work, 'allowed'), join(work, 'other')]
    for (const directory of [allowed, other]) {
      mkdirSync(directory)
      writeFileSync(join(directory, 'file'), directory)
    }
    await cluster.mustCaisson(['down'])
    writeFileSync(join(cluster.dataDirectory, 'node.yaml'), `hostPaths: [${allowed}]\n`)
    await cluster.mustCaisson(['up', '--detach'])
    const given = await cluster.caisson(['run', '-v', `${allowed}:/d:ro`, '--', 'cat', '/d/file'])
    expect([given.code, given.stdout]).toEqual([0, allowed])
    await cluster.mustCaisson(['run', '--detach', '--name', 'refused', '-v', `${other}:/d:ro`, '--', 'sleep', '1000'])
    const events = async (): Promise<string> =>
      (await cluster.kubectl(['-n', 'caisson-host-volumes', 'events', '--for=pod/refused'])).stdout.replaceAll(
        /\s+/g,
        ' ',
      )
    await expect
      .poll(events)
      .toContain(`hostPath ${other} is not within a directory that this node allows: see hostPaths in its node.yaml`)
  })
})
