/** What Sandboxes of a template reach, and who reaches them, under the policy that a template has unless it says otherwise. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { type Cluster, startCluster } from '../e2e/fixture.ts'
import { apply, pod } from './attackers.ts'
import { expectRefused, inPod, PYTHON } from './controlled.ts'

/** Says its own name to whoever connects. */
const SERVER = `
import socketserver, socket
class Hello(socketserver.BaseRequestHandler):
    def handle(self): self.request.sendall(socket.gethostname().encode())
socketserver.ThreadingTCPServer.allow_reuse_address = True
socketserver.ThreadingTCPServer(('', 8080), Hello).serve_forever()
`
const DIAL = `
import json, socket, sys
try:
    socket.create_connection((sys.argv[1], int(sys.argv[2])), 3).close()
    print(json.dumps(True))
except OSError:
    print(json.dumps(False))
`
/** The code of the answer to a query for the address of a name; 0 is an answer. */
const ASK = `
import json, socket, struct, sys
query = struct.pack(">HHHHHH", 7, 0x100, 1, 0, 0, 0)
query += b"".join(bytes([len(l)]) + l.encode() for l in sys.argv[2].split(".")) + b"\\0\\0\\1\\0\\1"
try:
    u = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    u.settimeout(5)
    u.sendto(query, (sys.argv[1], 53))
    print(json.dumps(u.recv(2000)[3] & 15))
except OSError:
    print(json.dumps(None))
`
const RESOLVERS = `
import json
print(json.dumps([line.split()[1] for line in open('/etc/resolv.conf') if line.startswith('nameserver')]))
`

let cluster: Cluster
/** The name and the address of the Sandbox that each template made. */
let members: Record<'default' | 'unmanaged', { name: string; ip: string }>

beforeAll(async () => {
  cluster = await startCluster()
  await cluster.mustKubectl(['create', 'namespace', 'team'])
  await cluster.kubectl(['create', 'namespace', 'agent-sandbox-system'])
  const serve = [PYTHON, '-c', SERVER]
  await apply(
    cluster,
    template('default', serve),
    template('unmanaged', serve, { networkPolicyManagement: 'Unmanaged' }),
    pool('default'),
    pool('unmanaged'),
    pod('team', 'neighbour', { command: serve }),
    pod('agent-sandbox-system', 'other'),
    pod('team', 'pretender', { labels: { app: 'sandbox-router' } }),
  )
  for (const each of ['default', 'unmanaged'])
    await cluster.mustKubectl(['-n', 'team', 'wait', '--for=condition=Ready', `swp/${each}`, '--timeout=60s'])
  for (const namespace of ['team', 'agent-sandbox-system'])
    await cluster.mustKubectl(['-n', namespace, 'wait', '--for=condition=Ready', 'pod', '--all', '--timeout=60s'])
  members = { default: await memberOf('default'), unmanaged: await memberOf('unmanaged') }
})
afterAll(() => cluster[Symbol.asyncDispose]())

function template(name: string, command: string[], more: object = {}): object {
  const { spec } = pod('team', name, { command }) as { spec: object }
  return {
    apiVersion: 'extensions.agents.x-k8s.io/v1beta1',
    kind: 'SandboxTemplate',
    metadata: { name, namespace: 'team' },
    spec: { podTemplate: { spec }, ...more },
  }
}

function pool(name: string): object {
  return {
    apiVersion: 'extensions.agents.x-k8s.io/v1beta1',
    kind: 'SandboxWarmPool',
    metadata: { name, namespace: 'team' },
    spec: { replicas: 1, sandboxTemplateRef: { name } },
  }
}

async function memberOf(name: string): Promise<{ name: string; ip: string }> {
  const selector = await cluster.mustKubectl(['-n', 'team', 'get', 'swp', name, '-o', 'jsonpath={.status.selector}'])
  const path = 'jsonpath={.items[0].metadata.name} {.items[0].status.podIP}'
  const [found = '', ip = ''] = (
    await cluster.mustKubectl(['-n', 'team', 'get', 'pods', '-l', selector, '-o', path])
  ).split(' ')
  return { name: found, ip }
}

async function reaches(namespace: string, from: string, host: string, port: number): Promise<boolean> {
  return (await inPod(cluster, namespace, from)(DIAL, host, String(port))) as boolean
}

describe('a Sandbox of a template', () => {
  test.each<[string, () => Promise<[host: string, port: number]>]>([
    ['the API server', async () => [await service('default', 'kubernetes'), 443]],
    ['a Pod of its own namespace', async () => [await podIp('neighbour'), 8080]],
    ['a Sandbox of another template', async () => [members.unmanaged.ip, 8080]],
  ])('does not reach %s', async (probe, target) => {
    const [host, port] = await target()
    const control = await reaches('team', members.unmanaged.name, host, port)
    const attack = await reaches('team', members.default.name, host, port)
    expectRefused({ probe, control, attack })
  })

  test.each([
    ['a Pod of its namespace', 'team', 'neighbour'],
    ['a Pod that only bears the label of the router', 'team', 'pretender'],
    ['another Pod of the namespace of the router', 'agent-sandbox-system', 'other'],
  ])('is not reached by %s', async (probe, namespace, name) => {
    const control = await reaches(namespace, name, members.unmanaged.ip, 8080)
    const attack = await reaches(namespace, name, members.default.ip, 8080)
    expectRefused({ probe, control, attack })
  })

  test('is not told the names of the cluster', async () => {
    const server = await service('kube-system', 'kube-dns')
    const told = async (name: string): Promise<boolean> =>
      (await inPod(cluster, 'team', name)(ASK, server, 'kubernetes.default.svc.cluster.local')) === 0
    expectRefused({
      probe: 'a name of the cluster',
      control: await told(members.unmanaged.name),
      attack: await told(members.default.name),
    })
  })

  test('asks resolvers of the internet, since those of the cluster are closed to it', async () => {
    const asks = (name: string): Promise<unknown> => inPod(cluster, 'team', name)(RESOLVERS)
    expect(await asks(members.default.name)).toEqual(['8.8.8.8', '1.1.1.1'])
    expect(await asks(members.unmanaged.name)).toEqual([await service('kube-system', 'kube-dns')])
  })

  test('has no token of a ServiceAccount', async () => {
    const mounted = async (name: string): Promise<boolean> => {
      const { code } = await cluster.kubectl([
        '-n',
        'team',
        'exec',
        name,
        '--',
        'ls',
        '/var/run/secrets/kubernetes.io/serviceaccount/token',
      ])
      return code === 0
    }
    expectRefused({
      probe: 'a token',
      control: await mounted('neighbour'),
      attack: await mounted(members.default.name),
    })
  })
})

async function service(namespace: string, name: string): Promise<string> {
  return await cluster.mustKubectl(['-n', namespace, 'get', 'service', name, '-o', 'jsonpath={.spec.clusterIP}'])
}

async function podIp(name: string): Promise<string> {
  return await cluster.mustKubectl(['-n', 'team', 'get', 'pod', name, '-o', 'jsonpath={.status.podIP}'])
}
