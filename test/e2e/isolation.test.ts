/** Attacks that have to fail, each beside the same deed by somebody who may: from within, by a tenant, and by what is copied out. */

import { execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
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
import { expectRefused } from '../isolation/controlled.ts'
import { type Cluster, type Outcome, run, startCluster } from './fixture.ts'

const SECRET = 'nobody-in-a-sandbox-knows-this'

let cluster: Cluster
let work: string
let service: Server
let servicePort: number
let cloud: AsyncDisposable

beforeAll(async () => {
  process.env['ISOLATION_TEST_SECRET'] = SECRET
  work = mkdtempSync(join(tmpdir(), 'caisson-isolation-'))
  writeFileSync(join(work, 'secret'), SECRET)
  service = await listening(0, '127.0.0.1')
  servicePort = (service.address() as { port: number }).port
  cloud = await serveCredentials()
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
    {
      apiVersion: 'networking.k8s.io/v1',
      kind: 'NetworkPolicy',
      metadata: { name: 'opened', namespace: 'team' },
      spec: {
        podSelector: { matchLabels: { name: 'opened' } },
        policyTypes: ['Egress'],
        egress: [{ to: [{ ipBlock: { cidr: `${CREDENTIALS[0]}/32` } }] }],
      },
    },
    pod('opened', {}),
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
  await cloud[Symbol.asyncDispose]()
})

interface PodSpec {
  volumes?: object[]
  initContainers?: object[]
  containers?: object[]
  [field: string]: unknown
}

function pod(name: string, spec: PodSpec, namespace = 'team'): object {
  const containers = [{ name: 'main', image: 'busybox', command: ['sleep', '1000'] }]
  return {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { name, namespace, labels: { name } },
    spec: { containers, ...spec },
  }
}

async function apply(...objects: object[]): Promise<void> {
  for (const object of objects) await cluster.mustKubectl(['apply', '-f', '-'], { input: JSON.stringify(object) })
}

/** As the tenant, who may edit what is in one namespace. */
const tenant = (args: string[], input?: string): Promise<Outcome> =>
  cluster.kubectl(['--as=system:serviceaccount:team:dev', ...args], input === undefined ? {} : { input })
const inPod = (name: string, script: string): Promise<Outcome> =>
  cluster.kubectl(['-n', 'team', 'exec', name, '--', 'sh', '-c', script])

type Try = [host: string, port: number]

/** What clouds serve to their machines, here by a network namespace that the machine has a route to. */
const CREDENTIALS: Try = ['169.254.169.254', 80]
const CLOUD = { namespace: 'caisson-test-cloud', link: 'cstcloud0', near: '198.18.0.1' }
const SERVE = `import socket
server = socket.create_server(('${CREDENTIALS[0]}', ${CREDENTIALS[1]}))
print('ready', flush=True)
while True: server.accept()[0].close()`

async function serveCredentials(): Promise<AsyncDisposable> {
  await using made = new AsyncDisposableStack()
  const ip = (line: string) => execFileSync('ip', line.split(' '))
  const { namespace, link, near } = CLOUD
  ip(`netns add ${namespace}`)
  made.defer(() => void ip(`netns del ${namespace}`))
  ip(`link add ${link} type veth peer name eth0 netns ${namespace}`)
  made.defer(() => void ip(`link del ${link}`))
  for (const line of [`addr add ${near}/32 dev ${link}`, `link set ${link} up`]) ip(line)
  // As an interface of a default route has it.
  writeFileSync(`/proc/sys/net/ipv4/conf/${link}/forwarding`, '1')
  for (const line of [`addr add ${CREDENTIALS[0]}/32 dev eth0`, 'link set eth0 up', `route add ${near} dev eth0`])
    ip(`-n ${namespace} ${line}`)
  ip(`route add ${CREDENTIALS[0]}/32 dev ${link}`)
  const server = spawn('ip', ['netns', 'exec', namespace, 'python3', '-c', SERVE])
  made.defer(async () => {
    const ended = once(server, 'close')
    server.kill('SIGKILL')
    await ended
  })
  await once(server.stdout, 'data')
  return made.move()
}

async function listening(port: number, host: string): Promise<Server> {
  // Who asks may be gone before it is answered.
  const server = createServer((socket) => socket.on('error', () => {}).end('hello'))
  await once(server.listen(port, host), 'listening')
  return server
}

/** Which of these a Pod gets a connection to, as `HOST PORT`: it is told by a program that the connection begins. */
async function reachedFrom(name: string, tries: readonly Try[]): Promise<Set<string>> {
  const script = tries.map(([host, port]) => `nc -w 2 ${host} ${port} -e sh -c 'echo reached ${host} ${port} >&2'`)
  const { stderr } = await inPod(name, script.join('; '))
  return new Set(Array.from(stderr.matchAll(/^reached (.*)$/gm), ([, each = '']) => each))
}

async function reachedFromMachine(tries: readonly Try[]): Promise<Set<string>> {
  const reached = new Set<string>()
  for (const [host, port] of tries) {
    const { code } = await run('bash', ['-c', `exec 3<>/dev/tcp/${host}/${port}`])
    if (code === 0) reached.add(`${host} ${port}`)
  }
  return reached
}

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
    const api = new URL(
      (await cluster.mustKubectl(['config', 'view', '-o', 'jsonpath={.clusters[0].cluster.server}'])).trim(),
    )
    const gateway = (
      await cluster.mustKubectl(['-n', 'team', 'get', 'pod', name, '-o', 'jsonpath={.status.podIP}'])
    ).replace(/\d+\.\d+$/, '0.1')
    await using atGateway = new AsyncDisposableStack()
    for (const port of [servicePort, Number(api.port)]) atGateway.use(await listening(port, gateway))
    const tries: Try[] = ['127.0.0.1', gateway].flatMap((host) =>
      [servicePort, Number(api.port)].map((port): Try => [host, port]),
    )
    const [machine, opened] = [await reachedFromMachine(tries), await reachedFrom('opened', [CREDENTIALS])]
    const attack = await reachedFrom(name, [...tries, CREDENTIALS])
    for (const each of tries) {
      const probe = each.join(' ')
      expectRefused({ probe, control: machine.has(probe), attack: attack.has(probe) })
    }
    const probe = CREDENTIALS.join(' ')
    expectRefused({ probe, control: opened.has(probe), attack: attack.has(probe) })
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
