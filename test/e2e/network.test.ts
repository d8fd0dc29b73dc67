/** Services, names and NetworkPolicies as Pods meet them: each refusal beside the same connection where it is allowed. */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { connect } from 'node:net'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { freePort } from '../cluster/real-cluster.ts'
import { type Cluster, startCluster } from './fixture.ts'
import { SERVE } from './serving-program.ts'

const CAISSON = join(import.meta.dirname, '../../bin/caisson')

/** Rules follow at once; a look at them takes seconds on a busy machine. */
const SOON = { timeout: 30_000, interval: 100 }

let cluster: Cluster
beforeAll(async () => {
  cluster = await startCluster({ busybox: true })
  await cluster.mustKubectl(['create', 'namespace', 'other'])
  await apply(
    server('web-0', { app: 'web' }),
    server('web-1', { app: 'web' }),
    client('client', { app: 'client' }),
    client('client', { app: 'client' }, 'other'),
    service('web', { selector: { app: 'web' } }),
    service('sticky', { selector: { app: 'web' }, sessionAffinity: 'ClientIP' }),
    service('headless', { selector: { app: 'web' }, clusterIP: 'None' }),
    service('nobody', { selector: { app: 'nobody' } }),
    service('alone', { selector: { statefulset: 'web-0' } }),
    service('node', { selector: { app: 'web' }, type: 'NodePort' }),
    service('elsewhere', { type: 'ExternalName', externalName: 'web.default.svc.cluster.local', ports: [] }),
  )
  for (const namespace of ['default', 'other'])
    await cluster.mustKubectl(['-n', namespace, 'wait', '--for=condition=Ready', 'pod', '--all', '--timeout=60s'])
})
afterAll(() => cluster[Symbol.asyncDispose]())

function server(name: string, labels: Record<string, string>): object {
  return {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { name, namespace: 'default', labels: { ...labels, statefulset: name } },
    spec: {
      hostname: name,
      subdomain: 'headless',
      containers: [
        {
          name: 'main',
          image: 'caisson.dev/host',
          command: ['/usr/bin/python3', '-c', SERVE],
          ports: [{ name: 'http', containerPort: 8080 }],
          readinessProbe: { tcpSocket: { port: 'http' }, periodSeconds: 1 },
        },
      ],
    },
  }
}

function client(name: string, labels: Record<string, string>, namespace = 'default'): object {
  return {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { name, namespace, labels },
    spec: { containers: [{ name: 'main', image: 'caisson.dev/host' }] },
  }
}

function service(name: string, spec: object): object {
  const ports = [
    { name: 'http', port: 80, targetPort: 'http' },
    { name: 'echo', port: 53, targetPort: 5353, protocol: 'UDP' },
  ]
  return { apiVersion: 'v1', kind: 'Service', metadata: { name, namespace: 'default' }, spec: { ports, ...spec } }
}

function policy(name: string, spec: object): object {
  return {
    apiVersion: 'networking.k8s.io/v1',
    kind: 'NetworkPolicy',
    metadata: { name, namespace: 'default' },
    spec: { podSelector: {}, ...spec },
  }
}

async function apply(...objects: object[]): Promise<void> {
  const list = { apiVersion: 'v1', kind: 'List', items: objects }
  await cluster.mustKubectl(['apply', '-f', '-'], { input: JSON.stringify(list) })
}

async function inPod(pod: string, script: string, args: string[] = [], namespace = 'default'): Promise<string> {
  const command = ['-n', namespace, 'exec', pod, '--', '/usr/bin/python3', '-c', script, ...args]
  return (await cluster.mustKubectl(command)).trim()
}

const DIAL = `
import socket, sys
for i in range(int(sys.argv[3])):
    try:
        print(socket.create_connection((sys.argv[1], int(sys.argv[2])), 5).recv(100).decode())
    except Exception as e:
        print("refused" if isinstance(e, ConnectionRefusedError) else type(e).__name__)
`
/** Who answers. */
async function dial(
  pod: string,
  host: string,
  { port = 80, times = 1, namespace = 'default' } = {},
): Promise<string[]> {
  const answers = await inPod(pod, DIAL, [host, String(port), String(times)], namespace)
  return answers.split('\n').map((answer) => answer.split(' ')[0] ?? '')
}

const podIp = (name: string): Promise<string> =>
  cluster.mustKubectl(['get', 'pod', name, '-o', 'jsonpath={.status.podIP}'])

describe('a Service', () => {
  test('leads to each of its Pods by name and by address, within its namespace and from others', async () => {
    const address = await cluster.mustKubectl(['get', 'service', 'web', '-o', 'jsonpath={.spec.clusterIP}'])
    expect([...new Set(await dial('client', 'web', { times: 30 }))].sort()).toEqual(['web-0', 'web-1'])
    expect([...new Set(await dial('client', address, { times: 30 }))].sort()).toEqual(['web-0', 'web-1'])
    expect(await dial('client', 'web.default', { namespace: 'other' })).toEqual([expect.stringMatching(/^web-/)])
    expect(await dial('client', 'web.default.svc.cluster.local')).toEqual([expect.stringMatching(/^web-/)])
  })

  test('keeps a client with one Pod where it says so', async () => {
    expect(new Set(await dial('client', 'sticky', { times: 20 })).size).toBe(1)
  })

  test('leads a Pod to itself', async () => {
    expect(await dial('web-0', 'alone', { times: 3 })).toEqual(['web-0', 'web-0', 'web-0'])
  })

  test('answers by UDP', async () => {
    const ask = `
import socket
u = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
u.settimeout(5)
u.sendto(b"hello", ("web", 53))
print(u.recvfrom(100)[0].decode())
`
    expect(await inPod('client', ask)).toMatch(/^web-\d hello$/)
  })

  test('without Pods, or on another port, refuses at once', async () => {
    expect(await dial('client', 'nobody')).toEqual(['refused'])
    // It has a slice that says so, which is written once.
    const slice = ['get', 'endpointslices', '-l', 'kubernetes.io/service-name=nobody', '-o', 'jsonpath={..generation}']
    expect(await cluster.mustKubectl(slice)).toBe('1')
    expect(await dial('client', 'web', { port: 81 })).toEqual(['refused'])
  })

  test('of type NodePort is on this machine’s loopback, and on none of its other addresses', async () => {
    const port = Number(
      await cluster.mustKubectl(['get', 'service', 'node', '-o', 'jsonpath={.spec.ports[0].nodePort}']),
    )
    expect(await text(connect({ host: '127.0.0.1', port }))).toMatch(/^web-/)
    const other = connect({ host: (await podIp('client')).replace(/\d+\.\d+$/, '0.1'), port })
    await expect(text(other)).rejects.toMatchObject({ code: 'ECONNREFUSED' })
  })

  test('follows its Pods', async () => {
    await apply(server('late', { app: 'late' }), service('late', { selector: { app: 'late' } }))
    await cluster.mustKubectl(['wait', '--for=condition=Ready', 'pod/late', '--timeout=30s'])
    // Until the Pod has an address there is another slice, since its port has a name: to wait for that one is to see it go.
    const slices = ['get', 'endpointslices', '-l', 'kubernetes.io/service-name=late']
    const ready = [...slices, '-o', 'jsonpath={.items[*].endpoints[*].conditions.ready}']
    await expect.poll(() => cluster.mustKubectl(ready), SOON).toBe('true')
    expect(await dial('client', 'late')).toEqual(['late'])
    await cluster.mustKubectl(['delete', 'pod', 'late', '--grace-period=1'])
    await expect.poll(() => dial('client', 'late'), SOON).toEqual(['refused'])
  })

  test('that loses a slice to another leads to what is in it no more', async () => {
    const slice = (owner: string): object => ({
      apiVersion: 'discovery.k8s.io/v1',
      kind: 'EndpointSlice',
      metadata: { name: 'lent', namespace: 'default', labels: { 'kubernetes.io/service-name': owner } },
      addressType: 'IPv4',
      ports: [{ name: 'http', port: 8080, protocol: 'TCP' }],
      endpoints: [{ addresses: [address] }],
    })
    const address = await podIp('web-0')
    await apply(service('lender', {}), service('borrower', {}), slice('lender'))
    await expect.poll(() => dial('client', 'lender'), SOON).toEqual(['web-0'])
    await apply(slice('borrower'))
    await expect.poll(() => dial('client', 'borrower'), SOON).toEqual(['web-0'])
    expect(await dial('client', 'lender')).toEqual(['refused'])
    await cluster.mustKubectl(['delete', 'service/lender', 'service/borrower', 'endpointslice/lent'])
  })

  test('`kubernetes` leads to the API server, for whom egress allows it', async () => {
    await apply({
      apiVersion: 'v1',
      kind: 'Service',
      metadata: { name: 'kubernetes', namespace: 'default' },
      spec: { clusterIP: '10.96.0.1', ports: [{ name: 'https', port: 443 }] },
    })
    const ask = `
import ssl, urllib.request, urllib.error
d = "/var/run/secrets/kubernetes.io/serviceaccount/"
r = urllib.request.Request("https://kubernetes.default.svc/api", headers={"Authorization": "Bearer " + open(d + "token").read()})
try:
    print(urllib.request.urlopen(r, context=ssl.create_default_context(cafile=d + "ca.crt"), timeout=5).status)
except urllib.error.URLError as e:
    print(type(e.reason).__name__)
`
    expect(await inPod('client', ask)).toBe('200')
    await apply(policy('no-api', { podSelector: { matchLabels: { app: 'client' } }, policyTypes: ['Egress'] }))
    await expect.poll(() => inPod('client', ask), SOON).toBe('ConnectionRefusedError')
    await cluster.mustKubectl(['delete', 'networkpolicy', 'no-api'])
    await expect.poll(() => inPod('client', ask), SOON).toBe('200')
  })
})

describe('names', () => {
  const lookUp = (name: string): Promise<string> =>
    inPod('client', 'import socket, sys\nprint(sorted(set(a[4][0] for a in socket.getaddrinfo(sys.argv[1], 80))))', [
      name,
    ])
  test('of a headless Service are its Pods, each by its hostname too', async () => {
    const addresses = [await podIp('web-0'), await podIp('web-1')]
    expect(await lookUp('headless')).toBe(
      `[${addresses
        .sort()
        .map((each) => `'${each}'`)
        .join(', ')}]`,
    )
    expect(await lookUp('web-1.headless')).toBe(`['${await podIp('web-1')}']`)
    expect(await lookUp(`${(await podIp('web-0')).replaceAll('.', '-')}.default.pod.cluster.local`)).toBe(
      `['${await podIp('web-0')}']`,
    )
    expect(await lookUp('elsewhere')).toBe(await lookUp('web'))
  })

  test('of an address are what its Pod’s own namespace calls it, whatever a slice elsewhere says', async () => {
    const address = await podIp('web-0')
    const elsewhere = { namespace: 'other', labels: { 'kubernetes.io/service-name': 'false' } }
    const named =
      'import socket, sys\nname, aliases, _ = socket.gethostbyaddr(sys.argv[1])\nprint(*sorted([name, *aliases]))'
    await apply(
      { apiVersion: 'v1', kind: 'Service', metadata: { ...elsewhere, name: 'false' }, spec: { clusterIP: 'None' } },
      {
        apiVersion: 'discovery.k8s.io/v1',
        kind: 'EndpointSlice',
        metadata: { ...elsewhere, name: 'false' },
        addressType: 'IPv4',
        endpoints: [{ addresses: [address], hostname: 'web-9' }],
      },
    )
    // It has come once its own name is there.
    await expect
      .poll(
        () => inPod('client', 'import socket\nprint(socket.gethostbyname("web-9.false.other"))').catch(() => ''),
        SOON,
      )
      .toBe(address)
    expect(await inPod('client', named, [address])).toBe('web-0.headless.default.svc.cluster.local')
    await cluster.mustKubectl(['-n', 'other', 'delete', 'service/false', 'endpointslice/false'])
  })

  test('of others are asked for only for Pods whose egress lets them ask', async () => {
    // The answer's code to a query for a name outside, and for one of the cluster's.
    const ask = `
import socket, struct
def code(name):
    q = struct.pack(">HHHHHH", 7, 0x100, 1, 0, 0, 0) + b"".join(bytes([len(l)]) + l.encode() for l in name.split(".")) + b"\\0\\0\\1\\0\\1"
    u = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    u.settimeout(10)
    u.sendto(q, (server, 53))
    return u.recv(2000)[3] & 15
server = [l.split()[1] for l in open("/etc/resolv.conf") if l.startswith("nameserver")][0]
print(server, code("web.default.svc.cluster.local"), code("secret.attacker.example"), code("none.default.svc.cluster.local"))
`
    const [REFUSED, MISSING] = [5, 3]
    expect(await inPod('client', ask)).not.toContain(` 0 ${REFUSED} `)
    const selector = { podSelector: { matchLabels: { app: 'client' } }, policyTypes: ['Egress'] }
    await apply(policy('closed', selector))
    await expect.poll(() => inPod('client', ask), SOON).toBe(`10.96.0.10 0 ${REFUSED} ${MISSING}`)
    const to = [{ namespaceSelector: {}, podSelector: { matchLabels: { 'k8s-app': 'kube-dns' } } }]
    await apply(policy('closed', { ...selector, egress: [{ to, ports: [{ protocol: 'UDP', port: 53 }] }] }))
    await expect.poll(() => inPod('client', ask), SOON).not.toContain(` 0 ${REFUSED} `)
    await cluster.mustKubectl(['delete', 'networkpolicy', 'closed'])
  })
})

describe('a NetworkPolicy', () => {
  test('closes Pods, opens them to whom it selects, and does so from a Pod’s first packet on', async () => {
    const ip = await podIp('web-0')
    const asked = async (): Promise<string[]> => [
      ...(await dial('client', ip, { port: 8080 })),
      ...(await dial('client', ip, { port: 8080, namespace: 'other' })),
    ]
    expect(await asked()).toEqual(['web-0', 'web-0'])
    await apply(policy('web', { podSelector: { matchLabels: { app: 'web' } }, policyTypes: ['Ingress'] }))
    await expect.poll(asked, SOON).toEqual(['refused', 'refused'])
    const from = [{ podSelector: { matchLabels: { app: 'client' } } }]
    await apply(
      policy('web', { podSelector: { matchLabels: { app: 'web' } }, ingress: [{ from, ports: [{ port: 'http' }] }] }),
    )
    await expect.poll(asked, SOON).toEqual(['web-0', 'refused'])
    // A Pod that starts is closed from its first packet on.
    await apply(client('new', { app: 'other' }))
    await cluster.mustKubectl(['wait', '--for=condition=Ready', 'pod/new', '--timeout=30s'])
    expect(await dial('new', ip, { port: 8080 })).toEqual(['refused'])
    await cluster.mustKubectl(['label', 'pod', 'new', 'app=client', '--overwrite'])
    await expect.poll(() => dial('new', ip, { port: 8080 }), SOON).toEqual(['web-0'])
    await cluster.mustKubectl(['delete', 'networkpolicy', 'web'])
    await expect.poll(asked, SOON).toEqual(['web-0', 'web-0'])
  })
})

describe('an ipBlock of a NetworkPolicy', () => {
  test('means the addresses of Pods, also where a Service leads to them, and not those of Services', async () => {
    const serviceIp = await cluster.mustKubectl(['get', 'service', 'alone', '-o', 'jsonpath={.spec.clusterIP}'])
    const opening = (ip: string): object =>
      policy('block', {
        podSelector: { matchLabels: { app: 'client' } },
        policyTypes: ['Egress'],
        egress: [{ to: [{ ipBlock: { cidr: `${ip}/32` } }] }],
      })
    expect(await dial('client', serviceIp)).toEqual(['web-0'])
    await apply(opening(serviceIp))
    await expect.poll(() => dial('client', serviceIp), SOON).toEqual(['refused'])
    await apply(opening(await podIp('web-0')))
    await expect.poll(() => dial('client', serviceIp), SOON).toEqual(['web-0'])
    await cluster.mustKubectl(['delete', 'networkpolicy', 'block'])
  })
})

test('the policies of a namespace that ask for too many rules open nothing, and an event says so', async () => {
  const peers = (rule: number): object[] =>
    Array.from({ length: 90 }, (_, peer) => ({ ipBlock: { cidr: `10.${rule}.${peer * 2}.0/24` } }))
  const from = Array.from({ length: 50 }, (_, rule) => ({ from: peers(rule) }))
  const large = (name: string): object => {
    const made = policy(name, { podSelector: { matchLabels: { app: 'client' } }, ingress: from })
    return { ...made, metadata: { name, namespace: 'other' } }
  }
  await apply(large('first'))
  await apply(large('second'))
  const events = ['-n', 'other', 'get', 'events', '--field-selector', 'reason=NotEnforceable', '-o']
  await expect
    .poll(
      () => cluster.mustKubectl([...events, 'jsonpath={range .items[*]}{.involvedObject.name} {.message}{"\\n"}{end}']),
      SOON,
    )
    .toBe(
      'second Nothing gets through for the Pods that this policy selects: it counts for 4573 rules, ranges and labels, and the older policies of namespace other for 4573 of the 6000 that it may have: remove some, or write them shorter\n',
    )
  await cluster.mustKubectl(['-n', 'other', 'delete', 'networkpolicy', 'first', 'second'])
})

describe('caisson run', () => {
  const DEEDS = `
import socket, sys
def reach(host, port):
    try:
        socket.create_connection((host, port), 5).close()
        return "reached"
    except OSError as e:
        return "refused" if isinstance(e, ConnectionRefusedError) else type(e).__name__
print(reach(sys.argv[1], 8080), reach("web", 80), reach("kubernetes.default.svc", 443))
`
  const deeds = async (...options: string[]): Promise<string> => {
    const command = ['run', ...options, '--', '/usr/bin/python3', '-c', DEEDS, await podIp('web-0')]
    return (await cluster.mustCaisson(command)).trim()
  }

  test('lets a sandbox reach nothing, unless it is told to', async () => {
    expect(await deeds()).toBe('refused refused refused')
    expect(await deeds('--network', 'none')).toMatch(/^(OSError|gaierror) /)
    expect(await deeds('--network', 'open')).toBe('reached reached reached')
  })

  test('lets a policy open what it allows, and the sandbox is closed again without it', async () => {
    const name = 'opened'
    await cluster.mustCaisson(['run', '--detach', '--name', name, '--', 'sleep', '1000'])
    await cluster.mustKubectl(['wait', '--for=condition=Ready', `pod/${name}`, '--timeout=30s'])
    const reach = async (): Promise<string> =>
      (await cluster.mustCaisson(['exec', name, '--', '/usr/bin/python3', '-c', DEEDS, await podIp('web-0')])).trim()
    expect(await reach()).toBe('refused refused refused')
    await cluster.mustKubectl(['label', 'pod', name, 'app=opened'])
    const to = [{ podSelector: { matchLabels: { app: 'web' } } }]
    const podSelector = { matchLabels: { app: 'opened' } }
    await apply(policy('opened', { podSelector, policyTypes: ['Egress'], egress: [{ to }] }))
    await expect.poll(reach, SOON).toBe('reached reached refused')
    await cluster.mustKubectl(['delete', 'networkpolicy', 'opened'])
    await expect.poll(reach, SOON).toBe('refused refused refused')
    // What was decided when it was made is no annotation's to change.
    await cluster.mustKubectl(['annotate', 'pod', name, 'caisson.dev/network=open', '--overwrite'])
    await cluster.mustKubectl(['label', 'pod', name, 'app=again', '--overwrite'])
    expect(await reach()).toBe('refused refused refused')
    await cluster.mustCaisson(['rm', name])
  })

  test('publishes a port on loopback, and port-forward reaches one that was not published', async () => {
    const port = await freePort()
    const run = ['run', '--detach', '--name', 'served', '--publish', `${port}:8080`]
    await cluster.mustCaisson([...run, '--', '/usr/bin/python3', '-c', SERVE])
    const namespace = ['-n', 'caisson-host-volumes']
    await cluster.mustKubectl([...namespace, 'wait', '--for=condition=Ready', 'pod/served', '--timeout=30s'])
    const answer = (at: number): Promise<string> => text(connect({ host: '127.0.0.1', port: at })).catch(String)
    await expect.poll(() => answer(port), SOON).toMatch(/^served /)
    const taken = await cluster.caisson(['run', '--publish', `${port}:8080`, '--', 'true'])
    expect([taken.code, taken.stderr]).toEqual([69, expect.stringContaining(`port ${port} of 127.0.0.1 is in use`)])
    const forward = spawn(CAISSON, [...namespace, 'port-forward', 'served', ':8080'], {
      env: { ...process.env, ...cluster.env },
      stdio: ['ignore', 'pipe', 'inherit'],
    })
    const [said] = (await once(forward.stdout.setEncoding('utf8'), 'data')) as [string]
    expect(await answer(Number(/127\.0\.0\.1:(\d+) -> 8080/.exec(said)?.[1]))).toMatch(/^served /)
    forward.kill('SIGINT')
    await once(forward, 'exit')
    await cluster.mustCaisson([...namespace, 'rm', 'served'])
    await expect.poll(() => answer(port), SOON).toContain('ECONNREFUSED')
  })
})
