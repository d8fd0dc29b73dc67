/** What the README promises to users of kubectl, as they would type it. */

import { spawn } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { get } from 'node:http'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { createInterface } from 'node:readline'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { type Cluster, findKubectl, run, startCluster } from './fixture.ts'
import { forwardPort } from './forward-port.ts'

const kubectl = findKubectl()
if (!kubectl) console.log('kubectl is not installed and Go is not there to build it: the kubectl tests are not run')

describe.runIf(kubectl)('kubectl against the embedded cluster', () => {
  let cluster: Cluster
  let work: string
  beforeAll(async () => {
    cluster = await startCluster({ busybox: true })
    work = mkdtempSync(join(tmpdir(), 'caisson-kubectl-'))
  })
  afterAll(async () => {
    rmSync(work, { recursive: true, force: true })
    await cluster[Symbol.asyncDispose]()
  })

  test('applies the example and sees it become Ready', async () => {
    expect(await cluster.mustKubectl(['apply', '-f', 'examples/gvisor-sandbox.yaml'])).toBe(
      'sandbox.agents.x-k8s.io/gvisor-test created\n',
    )
    expect(await cluster.mustKubectl(['wait', '--for=condition=Ready', 'sandbox/gvisor-test', '--timeout=60s'])).toBe(
      'sandbox.agents.x-k8s.io/gvisor-test condition met\n',
    )
    expect(await cluster.mustKubectl(['apply', '-f', 'examples/gvisor-sandbox.yaml'])).toBe(
      'sandbox.agents.x-k8s.io/gvisor-test unchanged\n',
    )
  })

  test('shows gVisor’s kernel inside', async () => {
    const dmesg = await cluster.mustKubectl(['exec', 'gvisor-test', '--', 'dmesg'])
    expect(dmesg.split('\n')[0]).toMatch(/^\[ +0\.000000\] Starting gVisor\.\.\.$/)
    expect(await cluster.mustKubectl(['get', 'pod', 'gvisor-test', '-o', 'jsonpath={.spec.runtimeClassName}'])).toBe(
      'gvisor',
    )
  })

  test('execs with input, exit code and both outputs', async () => {
    const outcome = await cluster.kubectl(
      ['exec', '-i', 'gvisor-test', '--', 'sh', '-c', 'cat; echo wrong >&2; exit 7'],
      { input: 'given' },
    )
    expect(outcome.stdout).toBe('given')
    expect(outcome.stderr).toContain('wrong\n')
    expect(outcome.stderr).toContain('command terminated with exit code 7')
    expect(outcome.code).toBe(7)
  })

  test('lists, watches and describes sandboxes', async () => {
    const table = await cluster.mustKubectl(['get', 'sandboxes'])
    expect(table.split('\n')[0]?.split(/\s+/)).toEqual(['NAME', 'READY', 'REASON', 'AGE'])
    expect(table.split('\n')[1]?.split(/\s+/).slice(0, 3)).toEqual(['gvisor-test', 'True', 'DependenciesReady'])
    const described = await cluster.mustKubectl(['describe', 'sandbox', 'gvisor-test'])
    expect(described).toContain('Pod is Ready')
    const watch = spawn(kubectl ?? '', ['get', 'sandboxes', '-w', '-L', 'seen'], {
      env: { ...process.env, ...cluster.env },
      stdio: ['ignore', 'pipe', 'inherit'],
    })
    const rows = createInterface(watch.stdout)[Symbol.asyncIterator]()
    const next = async (): Promise<string[]> => String((await rows.next()).value).split(/\s+/)
    expect(await next()).toEqual(['NAME', 'READY', 'REASON', 'AGE', 'SEEN'])
    const row = ['gvisor-test', 'True', 'DependenciesReady', expect.any(String)]
    expect(await next()).toEqual([...row, ''])
    await cluster.mustKubectl(['label', 'sandbox', 'gvisor-test', 'seen=yes'])
    expect(await next()).toEqual([...row, 'yes'])
    watch.kill()
  })

  test('has logs', async () => {
    await cluster.mustKubectl([
      'run',
      'talker',
      '--image=busybox',
      '--restart=Never',
      '--',
      'sh',
      '-c',
      'echo one; echo two >&2; echo three',
    ])
    await cluster.mustKubectl(['wait', '--for=jsonpath={.status.phase}=Succeeded', 'pod/talker', '--timeout=60s'])
    expect((await cluster.mustKubectl(['logs', 'talker'])).split('\n').sort()).toEqual(['', 'one', 'three', 'two'])
    expect(await cluster.mustKubectl(['logs', 'talker', '--tail=1'])).toMatch(/^(two|three)\n$/)
    expect(await cluster.mustKubectl(['logs', '-f', 'talker', '--timestamps'])).toMatch(
      /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d+Z /,
    )
    await cluster.mustKubectl(['delete', 'pod', 'talker'])
    expect(await cluster.mustKubectl(['logs', 'gvisor-test'])).toBe('')
  })

  test('copies files in and out', async () => {
    const file = join(work, 'given.txt')
    writeFileSync(file, 'x'.repeat(300_000))
    await cluster.mustKubectl(['cp', file, 'gvisor-test:/tmp/taken.txt'])
    await cluster.mustKubectl(['cp', 'gvisor-test:/tmp/taken.txt', join(work, 'back.txt')])
    expect(readFileSync(join(work, 'back.txt'), 'utf8')).toBe('x'.repeat(300_000))
  })

  test('forwards a port', async () => {
    await cluster.mustKubectl([
      'run',
      'web',
      '--image=busybox',
      '--',
      'sh',
      '-c',
      'mkdir /www; echo served >/www/index.html; exec httpd -f -p 8080 -h /www',
    ])
    await cluster.mustKubectl(['wait', '--for=condition=Ready', 'pod/web', '--timeout=60s'])
    // kubectl asks the Service which Pod, and which of its ports.
    await cluster.mustKubectl(['expose', 'pod', 'web', '--name=front', '--port=80', '--target-port=8080'])
    for (const [target, port] of [
      ['pod/web', 8080],
      ['service/front', 80],
    ] as const) {
      await using forward = await forwardPort(['port-forward', target, `:${port}`], cluster.env)
      for (let time = 0; time < 3; time++) expect(await fetchText(forward.port)).toBe('served\n')
    }
    await using unheard = await forwardPort(['port-forward', 'pod/web', ':81'], cluster.env)
    await expect(fetchText(unheard.port)).rejects.toThrow()
    await expect.poll(() => unheard.said()).toMatch(/error forwarding port 81 to pod .*: nobody listens on port 81 of /)
    // And by the API server's own paths.
    const slice = ['endpointslice', '-l', 'kubernetes.io/service-name=front']
    await cluster.mustKubectl(['wait', '--for=jsonpath={.endpoints[0].conditions.ready}=true', ...slice])
    const proxied = (path: string) => ['get', '--raw', `/api/v1/namespaces/default/${path}`]
    for (const path of ['pods/web:8080/proxy/', 'services/front/proxy/', 'services/http:front:80/proxy/index.html'])
      expect(await cluster.mustKubectl(proxied(path))).toBe('served\n')
    expect((await cluster.kubectl(proxied('pods/web:81/proxy/'))).stderr).toMatch(
      /^Error from server \(ServiceUnavailable\): error trying to reach service: dial tcp [\d.]+:81: connect: connection refused\n$/,
    )
    await cluster.mustKubectl(['delete', 'service', 'front'])
    await cluster.mustKubectl(['delete', 'pod', 'web', '--now'])
  })

  test('runs a Pod with a terminal, and takes it away', async () => {
    const overrides = '{"spec": {"runtimeClassName": "gvisor"}}'
    const words = `kubectl run test --rm -it --image=busybox --overrides OVERRIDES -- sh -c`.split(' ')
    const outcome = await inTerminal([
      ...words.map((word) => (word === 'OVERRIDES' ? overrides : word)),
      'test -t 0 && uname -sn',
    ])
    expect(outcome).toContain('Linux test\n')
    expect(outcome).toContain('pod "test" deleted')
  })

  test('logs of now, of a while, and of the run before', async () => {
    const script = 'if [ -e /kept/once ]; then echo second; sleep 1000; fi; touch /kept/once; echo first; exit 3'
    const pod = {
      apiVersion: 'v1',
      kind: 'Pod',
      metadata: { name: 'twice' },
      spec: {
        volumes: [{ name: 'kept', emptyDir: {} }],
        containers: [
          {
            name: 'main',
            image: 'busybox',
            command: ['sh', '-c', script],
            volumeMounts: [{ name: 'kept', mountPath: '/kept' }],
          },
        ],
      },
    }
    await cluster.mustKubectl(['apply', '-f', '-'], { input: JSON.stringify(pod) })
    await cluster.mustKubectl([
      'wait',
      '--for=jsonpath={.status.containerStatuses[0].restartCount}=1',
      'pod/twice',
      '--timeout=60s',
    ])
    await cluster.mustKubectl(['wait', '--for=condition=Ready', 'pod/twice', '--timeout=60s'])
    expect(await cluster.mustKubectl(['logs', 'twice', '-p'])).toBe('first\n')
    await expect.poll(() => cluster.mustKubectl(['logs', 'twice', '--since=1h'])).toBe('second\n')
    expect(await cluster.mustKubectl(['logs', 'twice', '--since-time=2100-01-01T00:00:00Z'])).toBe('')
    const said = 'jsonpath={.status.containerStatuses[0].lastState.terminated.exitCode}'
    expect(await cluster.mustKubectl(['get', 'pod', 'twice', '-o', said])).toBe('3')
    await cluster.mustKubectl(['delete', 'pod', 'twice', '--now'])
  })

  test('explains and diffs', async () => {
    expect(await cluster.mustKubectl(['explain', 'sandbox.spec'])).toMatch(/shutdownTime\s+<string>/)
    expect(await cluster.mustKubectl(['explain', 'pod.spec.containers'])).toMatch(/image\s+<string>/)
    // Reads /openapi/v2, as protobuf.
    expect(await cluster.mustKubectl(['explain', 'sandbox.spec', '--output=plaintext-openapiv2'])).toMatch(
      /shutdownTime\s+<string>/,
    )
    const same = await cluster.kubectl(['diff', '-f', 'examples/gvisor-sandbox.yaml'])
    expect([same.code, same.stdout]).toEqual([0, ''])
    const changed = join(work, 'changed.yaml')
    writeFileSync(changed, readFileSync('examples/gvisor-sandbox.yaml', 'utf8').replace('infinity', '1d'))
    const diff = await cluster.kubectl(['diff', '-f', changed])
    expect(diff.code).toBe(1)
    expect(diff.stdout).toMatch(/-\s+- infinity\n\+\s+- 1d/)
  })

  test('runs a throw-away pod with an override', async () => {
    const outcome = await cluster.kubectl([
      'run',
      'test',
      '--rm',
      '-i',
      '--restart=Never',
      '--image=busybox',
      '--overrides={"spec": {"runtimeClassName": "gvisor"}}',
      '--',
      'uname',
      '-a',
    ])
    expect(outcome.stdout).toMatch(/^Linux test 4\.\d+/)
    expect((await cluster.kubectl(['get', 'pod', 'test'])).stderr).toContain(
      'Error from server (NotFound): pods "test" not found',
    )
  })

  test('resizes a Pod while it runs', async (context) => {
    const { clientVersion } = JSON.parse(await cluster.mustKubectl(['version', '--client', '-o', 'json'])) as {
      clientVersion: { minor: string }
    }
    // Older ones do not know of the subresource.
    context.skip(Number.parseInt(clientVersion.minor, 10) < 32)
    const limits = { cpu: '500m', memory: '64Mi' }
    const spec = { containers: [{ name: 'main', image: 'busybox', command: ['sleep', '1000'], resources: { limits } }] }
    const input = JSON.stringify({ apiVersion: 'v1', kind: 'Pod', metadata: { name: 'sized' }, spec })
    await cluster.mustKubectl(['apply', '-f', '-'], { input })
    await cluster.mustKubectl(['wait', '--for=condition=Ready', 'pod/sized', '--timeout=60s'])
    const resources = { limits: { cpu: '1', memory: '128Mi' }, requests: { cpu: '1', memory: '128Mi' } }
    const patch = JSON.stringify({ spec: { containers: [{ name: 'main', resources }] } })
    expect(await cluster.mustKubectl(['patch', 'pod', 'sized', '--subresource=resize', '-p', patch])).toBe(
      'pod/sized patched\n',
    )
    const inForce = '--for=jsonpath={.status.containerStatuses[0].resources.limits.memory}=128Mi'
    await cluster.mustKubectl(['wait', inForce, 'pod/sized', '--timeout=30s'])
    await cluster.mustKubectl(['edit', 'pod', 'sized', '--subresource=resize'], {
      env: { KUBE_EDITOR: 'sed -i s/128Mi/96Mi/' },
    })
    await cluster.mustKubectl(['wait', inForce.replace('128Mi', '96Mi'), 'pod/sized', '--timeout=30s'])
    const restarts = 'jsonpath={.status.containerStatuses[0].restartCount}'
    expect(await cluster.mustKubectl(['get', 'pod', 'sized', '-o', restarts])).toBe('0')
    await cluster.mustKubectl(['delete', 'pod', 'sized', '--grace-period=1'])
  })

  test('answers who may do what', async () => {
    const ask = ['auth', 'can-i', 'create', 'sandboxes.agents.x-k8s.io', '--as=system:serviceaccount:a:b', '-n', 'c']
    await cluster.mustKubectl(['create', 'namespace', 'c'])
    expect((await cluster.kubectl(ask)).stdout).toBe('no\n')
    await cluster.mustKubectl([
      'create',
      'rolebinding',
      'makers',
      '--clusterrole=edit',
      '--serviceaccount=a:b',
      '-n',
      'c',
    ])
    expect((await cluster.kubectl(ask)).stdout).toBe('yes\n')
  })

  test('applies server-side and lists the resources', async () => {
    expect(
      await cluster.mustKubectl(['apply', '--server-side', '--force-conflicts', '-f', 'examples/gvisor-sandbox.yaml']),
    ).toBe('sandbox.agents.x-k8s.io/gvisor-test serverside-applied\n')
    const resources = await cluster.mustKubectl(['api-resources', '-o', 'name'])
    expect(resources.split('\n')).toEqual(
      expect.arrayContaining(['pods', 'sandboxes.agents.x-k8s.io', 'runtimeclasses.node.k8s.io']),
    )
  })

  test.each([
    ['broken YAML', 'a: [b', /error converting YAML to JSON|error parsing/],
    [
      'an unknown field',
      'apiVersion: agents.x-k8s.io/v1beta1\nkind: Sandbox\nmetadata: {name: x}\nspec: {bogus: 1, podTemplate: {spec: {containers: [{name: a, image: b}]}}}',
      /unknown field "spec\.bogus"/,
    ],
    [
      'a wrong type',
      'apiVersion: agents.x-k8s.io/v1beta1\nkind: Sandbox\nmetadata: {name: x}\nspec: {podTemplate: {spec: {containers: text}}}',
      /spec\.podTemplate\.spec\.containers/,
    ],
    [
      'a name that is none',
      'apiVersion: agents.x-k8s.io/v1beta1\nkind: Sandbox\nmetadata: {name: Not_A_Name}\nspec: {podTemplate: {spec: {containers: [{name: a, image: b}]}}}',
      /a lowercase RFC 1123 subdomain must consist of/,
    ],
    [
      'an unknown runtime class',
      'apiVersion: v1\nkind: Pod\nmetadata: {name: x}\nspec: {runtimeClassName: missing, containers: [{name: a, image: b}]}',
      /RuntimeClass "missing" not found/,
    ],
  ])('refuses %s with what and where', async (_name, yaml, message) => {
    const outcome = await cluster.kubectl(['apply', '-f', '-'], { input: yaml })
    expect(outcome.code).toBe(1)
    expect(outcome.stderr).toMatch(message)
  })

  test('says why a sandbox cannot start', async () => {
    const bad = (name: string, image: string, command: string): string =>
      JSON.stringify({
        apiVersion: 'v1',
        kind: 'Pod',
        metadata: { name },
        spec: { restartPolicy: 'Never', containers: [{ name: 'a', image, command: [command] }] },
      })
    await cluster.mustKubectl(['apply', '-f', '-'], { input: bad('no-image', 'not-there:1', 'x') })
    await cluster.mustKubectl([
      'wait',
      '--for=jsonpath={.status.containerStatuses[0].state.waiting.reason}=ErrImagePull',
      'pod/no-image',
      '--timeout=30s',
    ])
    await cluster.mustKubectl(['apply', '-f', '-'], { input: bad('no-command', 'busybox', '/no/such/command') })
    await cluster.mustKubectl([
      'wait',
      '--for=jsonpath={.status.containerStatuses[0].state.terminated.reason}=StartError',
      'pod/no-command',
      '--timeout=30s',
    ])
    expect(
      await cluster.mustKubectl([
        'get',
        'pod',
        'no-command',
        '-o',
        'jsonpath={.status.containerStatuses[0].state.terminated.message}',
      ]),
    ).toContain('/no/such/command')
    await cluster.mustKubectl(['delete', 'pod', 'no-image', 'no-command', '--now'])
  })

  test('prunes what is no longer applied, without being told of which kinds', async () => {
    const metadata = (name: string) => ({ name, labels: { pruned: 'yes' } })
    const kept = { apiVersion: 'v1', kind: 'ConfigMap', metadata: metadata('kept') }
    const gone = {
      apiVersion: 'networking.k8s.io/v1',
      kind: 'Ingress',
      metadata: metadata('gone'),
      spec: { defaultBackend: { service: { name: 'none', port: { number: 80 } } } },
    }
    await cluster.mustKubectl(['apply', '-f', '-'], { input: `${JSON.stringify(kept)}\n${JSON.stringify(gone)}` })
    expect(
      await cluster.mustKubectl(['apply', '--prune', '-l', 'pruned=yes', '-f', '-'], { input: JSON.stringify(kept) }),
    ).toBe('configmap/kept unchanged\ningress.networking.k8s.io/gone pruned\n')
    await cluster.mustKubectl(['delete', 'configmap', 'kept'])
  })

  const inTerminal = async (words: string[], input = ''): Promise<string> => {
    const command = words.map((word) => `'${word}'`).join(' ')
    const env = { ...cluster.env, PATH: `${dirname(kubectl ?? '')}:${process.env['PATH']}` }
    const outcome = await run('script', ['-qec', command, '/dev/null'], { env, input })
    return outcome.stdout.replaceAll(/\r|\^@/g, '')
  }
  const debug = (args: string[], input: string): Promise<string> =>
    inTerminal(['kubectl', 'debug', '-it', '--image=busybox', ...args], input)

  test('debugs a Pod of one container from within', async () => {
    await cluster.mustKubectl(['run', 'one', '--image=busybox', '--', 'sh', '-c', 'sleep 4321; echo woken; sleep 1000'])
    await cluster.mustKubectl(['wait', '--for=condition=Ready', 'pod/one', '--timeout=60s'])
    const look = 'test -t 0 && echo a $((40+2))nd terminal; hostname; ps; kill $(pidof sleep); exit\n'
    const said = await debug(['one', '--target=one'], look)
    expect(said).toContain('a 42nd terminal\none\n')
    expect(said).toContain('sleep 4321')
    await expect.poll(() => cluster.mustKubectl(['logs', 'one']), { timeout: 10_000 }).toContain('woken\n')
    const path = 'jsonpath={.status.ephemeralContainerStatuses[0].state.terminated.reason}'
    await cluster.mustKubectl(['wait', `--for=${path}=Completed`, 'pod/one', '--timeout=30s'])
  })

  test('debugs a Pod of several containers, and a copy of one', async () => {
    const containers = ['first', 'second'].map((name) => ({ name, image: 'busybox', command: ['sleep', '4321'] }))
    const pod = { apiVersion: 'v1', kind: 'Pod', metadata: { name: 'two' }, spec: { containers } }
    await cluster.mustKubectl(['apply', '-f', '-'], { input: JSON.stringify(pod) })
    await cluster.mustKubectl(['wait', '--for=condition=Ready', 'pod/two', '--timeout=60s'])
    expect(await debug(['two', '-c', 'look'], 'ps | grep -c "sleep 432[1]"; hostname; exit\n')).toMatch(/\n0\ntwo\n/)
    expect(await debug(['two', '-c', 'see', '--target=first'], 'ps | grep -c "sleep 432[1]"; exit\n')).toContain(
      '\n1\n',
    )
    const exec = ['exec', 'copied', '-c', 'first', '--', 'hostname']
    expect(await debug(['two', '--copy-to=copied', '-c', 'more'], 'hostname; exit\n')).toContain('copied\n')
    expect(await cluster.mustKubectl(exec)).toBe('copied\n')
    await cluster.mustKubectl(['delete', 'pod', 'one', 'two', 'copied', '--now'])
  })

  test('deletes the sandbox and what it made', async () => {
    expect(await cluster.mustKubectl(['delete', 'sandbox', 'gvisor-test'])).toMatch(/deleted/)
    await cluster.mustKubectl(['wait', '--for=delete', 'pod/gvisor-test', '--timeout=60s'])
  })
})

function fetchText(port: number): Promise<string> {
  return new Promise((resolve, reject) => {
    get({ host: '127.0.0.1', port, path: '/' }, (response) => {
      let text = ''
      response.setEncoding('utf8').on('data', (more: string) => (text += more))
      response.on('end', () => resolve(text))
    }).on('error', reject)
  })
}
