/** The embedded cluster's router: who reaches it, what it may, and what becomes of what it executes. */
import { once } from 'node:events'
import { readdirSync, readFileSync, readlinkSync } from 'node:fs'
import { request as httpRequest, type IncomingMessage } from 'node:http'
import { text } from 'node:stream/consumers'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { type Cluster, findKubectl, startCluster } from './fixture.ts'
import { forwardPort } from './forward-port.ts'

const SYSTEM = ['-n', 'agent-sandbox-system']
const SOON = { timeout: 60_000, interval: 200 }

function sandbox(name: string, command: string[]): object {
  const containers = [{ name: 'main', image: 'caisson.dev/host', command, workingDir: '/tmp' }]
  return {
    apiVersion: 'agents.x-k8s.io/v1beta1',
    kind: 'Sandbox',
    metadata: { name },
    spec: { podTemplate: { spec: { containers } } },
  }
}

describe.runIf(findKubectl())('the router', () => {
  let cluster: Cluster
  let url: string
  const stack = new AsyncDisposableStack()
  beforeAll(async () => {
    cluster = stack.use(await startCluster())
    const items = [sandbox('box', ['sleep', '100000']), sandbox('web', ['python3', '-m', 'http.server', '8080'])]
    await cluster.mustKubectl(['apply', '-f', '-'], {
      input: JSON.stringify({ apiVersion: 'v1', kind: 'List', items }),
    })
    await cluster.mustKubectl(['wait', '--for=condition=Ready', 'sandbox/box', 'sandbox/web', '--timeout=90s'])
    url = await forward([...SYSTEM, 'port-forward', 'svc/sandbox-router-svc', ':8080'])
  })
  afterAll(() => stack.disposeAsync())

  async function forward(words: readonly string[]): Promise<string> {
    return stack.use(await forwardPort(words, cluster.env)).url
  }

  interface Asked {
    to?: string
    method?: string
    body?: object
    headers?: Record<string, string>
  }

  function open(path: string, { to = url, method = 'GET', body, headers = {} }: Asked = {}) {
    const routing = { 'X-Sandbox-ID': 'box' }
    const request = httpRequest(`${to}/`, { path, method, headers: { ...routing, ...headers }, agent: false })
    request.end(body && JSON.stringify(body))
    return request
  }

  async function ask(path: string, asked?: Asked): Promise<[status: number | undefined, body: string]> {
    const [response] = (await once(open(path, asked), 'response')) as [IncomingMessage]
    return [response.statusCode, await text(response)]
  }

  const execute = (command: string, headers?: Record<string, string>) =>
    ask('/execute', { method: 'POST', body: { command }, ...(headers && { headers }) })

  const processes = async (): Promise<string> =>
    await cluster.mustKubectl(['exec', 'box', '--', 'sh', '-c', 'cat /proc/[0-9]*/cmdline | tr "\\0" " "'])

  function routerProcess(): number {
    const own = (pid: string): boolean => {
      try {
        return readFileSync(`/proc/${pid}/cmdline`, 'utf8').includes(`${cluster.dataDirectory}/router/kubeconfig`)
      } catch {
        return false
      }
    }
    return Number(readdirSync('/proc').find((pid) => /^\d+$/.test(pid) && own(pid)))
  }

  test('is shown as a Pod behind the Service that clients look for', async () => {
    const pods = await cluster.mustKubectl(['get', 'pods', ...SYSTEM, '-l', 'app=sandbox-router', '--no-headers'])
    expect(pods.trim().split(/\s+/).slice(1, 4)).toEqual(['1/1', 'Running', '0'])
    expect(await execute('echo hello')).toEqual([200, '{"stdout":"hello\\n","stderr":"","exit_code":0}'])
  })

  test('passes on what a sandbox answers itself', async () => {
    const [status, body] = await ask('/', { headers: { 'X-Sandbox-ID': 'web', 'X-Sandbox-Port': '8080' } })
    expect([status, body.includes('Directory listing')]).toEqual([200, true])
  })

  test('hears no sandbox that does not say whose it is, and listens nowhere on the network', async () => {
    const router = 'sandbox-router-svc.agent-sandbox-system.svc.cluster.local'
    const execute = `
import urllib.request, urllib.error
headers = {"X-Sandbox-ID": "web", "Content-Type": "application/json"}
request = urllib.request.Request("http://${router}:8080/execute", b'{"command": "true"}', headers)
try:
    print(urllib.request.urlopen(request, timeout=10).status)
except urllib.error.HTTPError as error:
    print(error.code)
`
    expect(await cluster.mustKubectl(['exec', 'box', '--', 'python3', '-c', execute])).toBe('401\n')
    // Its only TCP sockets are its own connections to the API server.
    const listening = ['tcp', 'tcp6'].flatMap(listeningInodes)
    const sockets = socketsOf(routerProcess())
    expect([sockets.length > 0, sockets.filter((inode) => listening.includes(inode))]).toEqual([true, []])
  })

  test('may execute in Pods and read where they are, and nothing else', async () => {
    const may = async (...what: string[]): Promise<string> => {
      const account = 'system:serviceaccount:agent-sandbox-system:sandbox-router'
      return (await cluster.kubectl(['auth', 'can-i', ...what, '--as', account, '-A'])).stdout.trim()
    }
    const asked = [
      ['list', 'pods'],
      ['create', 'pods', '--subresource=exec'],
      ['create', 'pods'],
      ['delete', 'pods'],
      ['get', 'secrets'],
      ['get', 'sandboxes'],
      ['create', 'serviceaccounts', '--subresource=token'],
      ['create', 'tokenreviews'],
      ['create', 'subjectaccessreviews'],
    ]
    expect(await Promise.all(asked.map((words) => may(...words)))).toEqual('yes yes no no no no no yes yes'.split(' '))
  })

  test('gives parts of files, and lists what says it was changed at any time', async () => {
    const make =
      'printf 0123456789 > digits; mkdir -p old; touch -d @99999999999 old/far; touch -d @-99999999 old/before'
    await cluster.mustKubectl(['exec', 'box', '--', 'sh', '-c', `cd /tmp; ${make}`])
    const part = async (Range: string, headers: Record<string, string> = {}) => {
      const [response] = (await once(open('/download/digits', { headers: { Range, ...headers } }), 'response')) as [
        IncomingMessage,
      ]
      return [response.statusCode, response.headers['content-range'], await text(response)]
    }
    expect([
      await part('bytes=2-4'),
      await part('bytes=-3'),
      await part('bytes=10-'),
      await part('bytes=1-2,4-5'),
      await part('bytes=2-4', { 'If-Range': 'Thu, 01 Jan 1970 00:00:00 GMT' }),
    ]).toEqual([
      [206, 'bytes 2-4/10', '234'],
      [206, 'bytes 7-9/10', '789'],
      [416, 'bytes */10', ''],
      [200, undefined, '0123456789'],
      [200, undefined, '0123456789'],
    ])
    const [status, listing] = await ask('/v1/files/old', { headers: { 'X-Sandbox-Port': '8080' } })
    const { entries } = JSON.parse(listing) as { entries: { name: string; modified_at: string }[] }
    expect([status, entries.map(({ name, modified_at }) => [name, modified_at])]).toEqual([
      200,
      [
        ['before', '1966-10-31T14:13:21Z'],
        // gVisor counts nanoseconds, and has no later time.
        ['far', '2262-04-11T23:47:16Z'],
      ],
    ])
  })

  test('reads no file of this machine, whatever path is named', async () => {
    const arguments_ = readFileSync(`/proc/${routerProcess()}/cmdline`, 'utf8').split('\0')
    expect(arguments_).toContain('--permission')
    expect(arguments_.filter((word) => word.startsWith('--allow-fs-write'))).toEqual([
      `--allow-fs-write=${cluster.dataDirectory}/router`,
    ])
    const secret = encodeURIComponent(`..${cluster.dataDirectory}/kubeconfig`)
    const paths = [
      `/download/${secret}`,
      `/download/${encodeURIComponent(`../../proc/1/root${cluster.dataDirectory}/kubeconfig`)}`,
    ]
    expect(await Promise.all(paths.map((path) => ask(path)))).toEqual([
      [403, '{"message":"Access denied"}'],
      [403, '{"message":"Access denied"}'],
    ])
    await cluster.mustKubectl(['exec', 'box', '--', 'ln', '-sfn', '/', '/tmp/root'])
    expect(await ask('/download/root%2Fetc%2Fhostname')).toEqual([403, '{"message":"Access denied"}'])
    expect(await ask('/exists/root%2Fetc%2Fhostname')).toEqual([403, '{"message":"Access denied"}'])
  })

  test('executes nothing for pages in browsers', async () => {
    const page = { Origin: 'http://page.test' }
    const refused = [403, '{"detail":"The runtime API is not served to pages in browsers."}']
    expect(await execute('true', page)).toEqual(refused)
    expect(await execute('true', { 'Sec-Fetch-Site': 'same-origin' })).toEqual(refused)
  })

  test('kills what a client began that has gone, and all that this has begun', async () => {
    const command = `sh -c 'sleep 7001 & sh -c "sleep 7002; true"; true'`
    const request = open('/execute', { method: 'POST', body: { command } })
    request.on('error', () => {})
    await expect.poll(processes, SOON).toMatch(/sleep 7001[^]*sleep 7002|sleep 7002[^]*sleep 7001/)
    request.destroy()
    await expect.poll(processes, SOON).not.toMatch(/sleep 700[12]/)
  })

  test('ends a command whose output has no end', async () => {
    const [status, body] = await execute('cat /dev/zero')
    expect([status, JSON.parse(body)]).toEqual([
      200,
      {
        stdout: '',
        stderr: `Failed to execute command: the output is larger than ${16 << 20} bytes, and the command was killed`,
        exit_code: 1,
      },
    ])
    await expect.poll(processes, SOON).not.toContain('cat /dev/zero')
  })

  test('answers at a Pod’s own port for who may execute there, and for nobody else', async () => {
    const names = ['forwarder', 'executor']
    const role = (name: string, resources: string[]) => [
      ['create', 'serviceaccount', name],
      ['create', 'role', name, '--verb=get,create', `--resource=${resources.join(',')}`],
      ['create', 'rolebinding', name, `--role=${name}`, `--serviceaccount=default:${name}`],
    ]
    for (const args of [
      ...role('forwarder', ['pods', 'pods/portforward']),
      ...role('executor', ['pods', 'pods/portforward', 'pods/exec']),
    ])
      await cluster.mustKubectl(args)
    const outcomes: unknown[] = []
    for (const name of names) {
      const token = (await cluster.mustKubectl(['create', 'token', name])).trim()
      const server = (
        await cluster.mustKubectl(['config', 'view', '-o', 'jsonpath={.clusters[0].cluster.server}'])
      ).trim()
      // Without the administrator's certificate, which would be shown first.
      const to = await forward([
        '--kubeconfig=/dev/null',
        `--server=${server}`,
        '--insecure-skip-tls-verify',
        `--token=${token}`,
        'port-forward',
        'pod/box',
        ':8080',
      ])
      outcomes.push(await ask('/v1/files/none', { to }).catch(() => 'nobody'))
    }
    expect(outcomes).toEqual([
      'nobody',
      [404, '{"code":"NOT_FOUND","message":"\\"none\\" does not exist within the sandbox"}'],
    ])
  })

  test('is there again after it was killed, and its Pod says so', async () => {
    const before = routerProcess()
    process.kill(before, 'SIGKILL')
    await cluster.mustKubectl([
      'wait',
      '--for=jsonpath={.status.containerStatuses[0].restartCount}=1',
      'pod',
      '-l',
      'app=sandbox-router',
      ...SYSTEM,
      '--timeout=60s',
    ])
    const to = await forward([...SYSTEM, 'port-forward', 'svc/sandbox-router-svc', ':8080'])
    expect((await ask('/', { to }))[0]).toBe(200)
    expect(routerProcess()).not.toBe(before)
  })
})

/** Of the sockets of this network namespace that listen. */
function listeningInodes(table: string): string[] {
  const LISTEN = '0A'
  return readFileSync(`/proc/net/${table}`, 'utf8')
    .split('\n')
    .slice(1)
    .map((line) => line.trim().split(/\s+/))
    .filter((fields) => fields[3] === LISTEN)
    .map((fields) => fields[9] ?? '')
}

function socketsOf(pid: number): string[] {
  return readdirSync(`/proc/${pid}/fd`).flatMap((fd) => {
    try {
      return /^socket:\[(\d+)\]$/.exec(readlinkSync(`/proc/${pid}/fd/${fd}`))?.[1] ?? []
    } catch {
      return []
    }
  })
}
