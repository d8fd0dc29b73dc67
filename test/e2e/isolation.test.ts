/** Attacks that have to fail, each beside the same deed by somebody who may: from within, by a tenant, and by what is copied out. */

import {
  existsSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs'
import { createServer, type Server } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { type Cluster, type Outcome, run, startCluster } from './fixture.ts'

const SECRET = 'nobody-in-a-sandbox-knows-this'

let cluster: Cluster
let work: string
let service: Server
let servicePort: number

beforeAll(async () => {
  process.env['ISOLATION_TEST_SECRET'] = SECRET
  work = mkdtempSync(join(tmpdir(), 'caisson-isolation-'))
  writeFileSync(join(work, 'secret'), SECRET)
  service = createServer((socket) => socket.end('hello'))
  await new Promise<void>((resolve) => service.listen(0, '127.0.0.1', resolve))
  servicePort = (service.address() as { port: number }).port
  cluster = await startCluster({ busybox: true })
  for (const namespace of ['team', 'other']) await cluster.mustKubectl(['create', 'namespace', namespace])
  await cluster.mustKubectl(['-n', 'team', 'create', 'serviceaccount', 'dev'])
  await cluster.mustKubectl([
    '-n',
    'team',
    'create',
    'rolebinding',
    'dev',
    '--clusterrole=edit',
    '--serviceaccount=team:dev',
  ])
  await apply(
    pod('runsc', {}),
    pod('runc', { runtimeClassName: 'runc' }),
    pod('hostile', {}),
    pod('victim', {}, 'other'),
  )
  await cluster.mustKubectl(['-n', 'team', 'wait', '--for=condition=Ready', 'pod', '--all', '--timeout=60s'])
})
afterAll(async () => {
  delete process.env['ISOLATION_TEST_SECRET']
  service.close()
  rmSync(work, { recursive: true, force: true })
  await cluster[Symbol.asyncDispose]()
})

interface PodSpec {
  volumes?: object[]
  initContainers?: object[]
  containers?: object[]
  [field: string]: unknown
}

function pod(name: string, spec: PodSpec, namespace = 'team'): object {
  const containers = [{ name: 'main', image: 'busybox', command: ['sleep', '1000'] }]
  return { apiVersion: 'v1', kind: 'Pod', metadata: { name, namespace }, spec: { containers, ...spec } }
}

async function apply(...objects: object[]): Promise<void> {
  for (const object of objects) await cluster.mustKubectl(['apply', '-f', '-'], { input: JSON.stringify(object) })
}

/** As the tenant, who may edit what is in one namespace. */
const tenant = (args: string[], input?: string): Promise<Outcome> =>
  cluster.kubectl(['--as=system:serviceaccount:team:dev', ...args], input === undefined ? {} : { input })
const inPod = (name: string, script: string): Promise<Outcome> =>
  cluster.kubectl(['-n', 'team', 'exec', name, '--', 'sh', '-c', script])

describe.each(['runsc', 'runc'])('a Pod under %s', (name) => {
  test('finds neither this machine’s files nor the daemon’s environment and open files', async () => {
    const script = `cat ${join(work, 'secret')} ${join(cluster.dataDirectory, 'kubeconfig')}; cat /proc/1/environ | tr '\\0' '\\n'; ls /proc/1/fd`
    const { stdout, stderr } = await inPod(name, script)
    expect(readFileSync(join(work, 'secret'), 'utf8')).toBe(SECRET)
    expect(stdout).not.toContain(SECRET)
    expect(stdout).not.toContain('CAISSON')
    expect(stderr.match(/No such file or directory/g)).toHaveLength(2)
    expect(stdout.split('\n').filter((line) => /^\d+$/.test(line))).toEqual(['0', '1', '2'])
  })

  test('reaches neither services on this machine’s loopback nor what clouds serve to their machines', async () => {
    expect((await run('bash', ['-c', `cat </dev/tcp/127.0.0.1/${servicePort}`])).stdout).toBe('hello')
    const api = new URL(
      (await cluster.mustKubectl(['config', 'view', '-o', 'jsonpath={.clusters[0].cluster.server}'])).trim(),
    )
    const gateway = (
      await cluster.mustKubectl(['-n', 'team', 'get', 'pod', name, '-o', 'jsonpath={.status.podIP}'])
    ).replace(/\d+\.\d+$/, '0.1')
    const tries = [
      ['127.0.0.1', servicePort],
      [gateway, servicePort],
      ['127.0.0.1', api.port],
      [gateway, api.port],
      ['169.254.169.254', 80],
    ]
    const script = tries
      .map(([host, port]) => `nc -w 1 ${host} ${port} </dev/null && echo reached ${host} ${port}`)
      .join('; ')
    const { stdout } = await inPod(
      name,
      `(nc -l -p 7000 -e echo control &) ; sleep 0.3; nc -w 1 127.0.0.1 7000 </dev/null; ${script}`,
    )
    expect(stdout).toBe('control\n')
  })

  test('gets at nothing outside a volume by links in it', async () => {
    const mounted = (part: string) => ({
      name: part,
      image: 'busybox',
      command: ['sleep', '1000'],
      volumeMounts: [{ name: 'v', mountPath: '/m', subPath: part }],
    })
    const script = `mkdir /v/inside; ln -s inside /v/good; ln -s ${work} /v/absolute; ln -s ../../../../../../../../..${work} /v/relative`
    const links = `links-${name}`
    await apply(
      pod(links, {
        ...(name === 'runc' && { runtimeClassName: 'runc' }),
        volumes: [{ name: 'v', emptyDir: {} }],
        initContainers: [
          {
            name: 'links',
            image: 'busybox',
            command: ['sh', '-c', script],
            volumeMounts: [{ name: 'v', mountPath: '/v' }],
          },
        ],
        containers: ['good', 'absolute', 'relative'].map(mounted),
      }),
    )
    const state = (container: string, value: string): string[] => [
      '-n',
      'team',
      'wait',
      'pod',
      links,
      '--timeout=30s',
      `--for=jsonpath={.status.containerStatuses[?(@.name=="${container}")].state${value}`,
    ]
    for (const container of ['absolute', 'relative']) {
      await cluster.mustKubectl(state(container, '.waiting.reason}=CreateContainerConfigError'))
    }
    await cluster.mustKubectl(state('good', '.running}'))
  })
})

describe('what is copied out of a sandbox', () => {
  /** Puts in the place of the sandbox's tar one that sends the files of `script`, whatever is asked for. */
  async function sends(script: string): Promise<void> {
    const liar = '#!/bin/sh\ncat /archive\n'
    await cluster.mustKubectl(
      ['-n', 'team', 'exec', '-i', 'hostile', '--', 'sh', '-c', 'rm -f /bin/tar; cat >/bin/tar; chmod +x /bin/tar'],
      { input: liar },
    )
    await run('bash', ['-c', `set -e; rm -rf made; mkdir -p made/x; cd made; ${script}`], { cwd: work })
    const archive = `tar -C made -cf - --absolute-names ./x | base64`
    const { stdout } = await run('bash', ['-c', archive], { cwd: work })
    await cluster.mustKubectl(['-n', 'team', 'exec', '-i', 'hostile', '--', 'sh', '-c', 'base64 -d >/archive'], {
      input: stdout,
    })
  }
  const copy = (to: string): Promise<Outcome> => cluster.caisson(['-n', 'team', 'cp', 'hostile:/x', to])

  test('is files alone: no devices, no FIFOs, no links that lead elsewhere', async () => {
    await sends(
      'echo new >x/new; ln -s new x/link; mknod x/zero c 1 5; mkfifo x/fifo; ln -s /etc/shadow x/shadow; ln -s ../../secret x/up',
    )
    const to = join(work, 'copied')
    const outcome = await copy(to)
    expect([outcome.code, readdirSync(to).sort((a, b) => (a < b ? -1 : 1))]).toEqual([0, ['link', 'new']])
    expect(outcome.stderr.match(/left out/g)).toHaveLength(4)
  })

  test('leaves beside it what is there already', async () => {
    await sends('echo new >x/new')
    const to = join(work, 'mine')
    mkdirSync(join(to, 'x'), { recursive: true })
    writeFileSync(join(to, 'x/precious'), 'precious')
    expect((await copy(to)).code).toBe(0)
    expect([readFileSync(join(to, 'x/new'), 'utf8'), readFileSync(join(to, 'x/precious'), 'utf8')]).toEqual([
      'new\n',
      'precious',
    ])
  })

  test('is refused where it is something else than what was asked for', async () => {
    const to = join(work, 'else')
    await sends('rm -r x; ln -s /etc x')
    expect([(await copy(to)).code, existsSync(to)]).toEqual([1, false])
    await sends('rm -r x; echo file >x')
    expect([(await copy(to)).code, lstatSync(to).isFile()]).toEqual([0, true])
  })
})

describe('a tenant', () => {
  test.each<[string, PodSpec, RegExp]>([
    ['this machine’s files', { volumes: [{ name: 'h', hostPath: { path: '/' } }] }, /hostPath volumes/],
    ['this machine’s network', { hostNetwork: true }, /host namespaces/],
    [
      'every right',
      { containers: [{ name: 'main', image: 'busybox', securityContext: { privileged: true } }] },
      /privileged/,
    ],
    [
      'a right more',
      { containers: [{ name: 'main', image: 'busybox', securityContext: { capabilities: { add: ['SYS_ADMIN'] } } }] },
      /non-default capabilities/,
    ],
  ])('gets no Pod with %s', async (_what, spec, said) => {
    const create = (body: PodSpec) =>
      tenant(['create', '--dry-run=server', '-f', '-'], JSON.stringify(pod('asked', body)))
    expect((await create({})).code).toBe(0)
    expect(await create(spec)).toMatchObject({ code: 1, stderr: expect.stringMatching(said) })
  })

  test.each([
    ['read secrets', ['get', 'secrets']],
    ['look into containers', ['exec', 'victim', '--', 'true']],
    ['read logs', ['logs', 'victim']],
    ['give rights', ['create', 'rolebinding', 'x', '--clusterrole=edit', '--serviceaccount=team:dev']],
  ])('may not %s elsewhere', async (_what, args) => {
    expect((await cluster.kubectl(['-n', 'other', ...args])).code).toBe(0)
    expect(await tenant(['-n', 'other', ...args])).toMatchObject({
      code: 1,
      stderr: expect.stringContaining('orbidden'),
    })
    await cluster.kubectl(['-n', 'other', 'delete', 'rolebinding', 'x', '--ignore-not-found'])
  })

  test('gets no volume of another namespace by naming it', async () => {
    const claim = (namespace: string, name: string, volumeName?: string): object => ({
      apiVersion: 'v1',
      kind: 'PersistentVolumeClaim',
      metadata: { name, namespace, annotations: { 'pv.kubernetes.io/bind-completed': 'yes' } },
      spec: {
        accessModes: ['ReadWriteOnce'],
        storageClassName: 'standard',
        resources: { requests: { storage: '1Mi' } },
        ...(volumeName && { volumeName }),
      },
    })
    const user = (name: string, claimName: string, namespace: string): object =>
      pod(name, { volumes: [{ name: 'v', persistentVolumeClaim: { claimName } }] }, namespace)
    await apply(claim('other', 'owned'), user('owner', 'owned', 'other'))
    await cluster.mustKubectl(['-n', 'other', 'wait', '--for=condition=Ready', 'pod/owner', '--timeout=30s'])
    const volume = await cluster.mustKubectl([
      '-n',
      'other',
      'get',
      'pvc',
      'owned',
      '-o',
      'jsonpath={.spec.volumeName}',
    ])
    expect(volume).toMatch(/^pvc-/)
    await apply(
      claim('team', 'stolen', volume),
      claim('team', 'own'),
      user('thief', 'stolen', 'team'),
      user('honest', 'own', 'team'),
    )
    await cluster.mustKubectl(['-n', 'team', 'wait', '--for=condition=Ready', 'pod/honest', '--timeout=30s'])
    expect(await cluster.mustKubectl(['-n', 'team', 'get', 'pvc', 'stolen', '-o', 'jsonpath={.status.phase}'])).toBe(
      'Pending',
    )
    expect(await cluster.mustKubectl(['-n', 'team', 'get', 'pod', 'thief', '-o', 'jsonpath={.status.phase}'])).toBe(
      'Pending',
    )
  })

  test('does not stop the API server with an environment that doubles with each variable', async () => {
    const env = Array.from({ length: 40 }, (_, step) => ({
      name: `V${step}`,
      value: step === 0 ? 'x'.repeat(1000) : `$(V${step - 1})$(V${step - 1})`,
    }))
    const asked = pod('doubling', { containers: [{ name: 'main', image: 'busybox', command: ['sleep', '1000'], env }] })
    expect((await tenant(['apply', '-f', '-'], JSON.stringify(asked))).code).toBe(0)
    await cluster.mustKubectl([
      '-n',
      'team',
      'wait',
      'pod/doubling',
      '--timeout=20s',
      '--for=jsonpath={.status.containerStatuses[0].state.waiting.reason}=CreateContainerConfigError',
    ])
  })
})
