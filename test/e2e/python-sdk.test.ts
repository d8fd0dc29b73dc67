/** The published Python SDK of agent-sandbox, unmodified, against the embedded cluster and its router. */
import { readFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { type Cluster, findKubectl, run, startCluster } from './fixture.ts'
import { forwardPort } from './forward-port.ts'
import { hasPython, pythonWithSdk } from './python-sdk/environment.ts'
import { ROUTED, SINCE, seenAsynchronously, VERSIONS } from './python-sdk/expected.ts'

const README = join(import.meta.dirname, '../../README.md')
const SCRIPTS = join(import.meta.dirname, 'python-sdk')
/** Installing the SDK for the first time takes most of it. */
const SETUP_MS = 400_000

const POOL = {
  apiVersion: 'v1',
  kind: 'List',
  items: [
    {
      apiVersion: 'extensions.agents.x-k8s.io/v1beta1',
      kind: 'SandboxTemplate',
      metadata: { name: 'host' },
      spec: {
        envVarsInjectionPolicy: 'Allowed',
        podTemplate: {
          spec: {
            containers: [{ name: 'main', image: 'caisson.dev/host', command: ['sleep', '100000'], workingDir: '/tmp' }],
          },
        },
      },
    },
    {
      apiVersion: 'extensions.agents.x-k8s.io/v1beta1',
      kind: 'SandboxWarmPool',
      metadata: { name: 'pool' },
      spec: { replicas: 2, sandboxTemplateRef: { name: 'host' } },
    },
  ],
}

describe.skipIf(!hasPython())('the published Python SDK', () => {
  let cluster: Cluster
  let url: string
  const pythons = new Map<string, string>()
  const stack = new AsyncDisposableStack()
  beforeAll(async () => {
    for (const version of VERSIONS) pythons.set(version, await pythonWithSdk(version))
    cluster = stack.use(await startCluster())
    await cluster.mustKubectl(['apply', '-f', '-'], { input: JSON.stringify(POOL) })
    await cluster.mustKubectl(['wait', '--for=jsonpath={.status.readyReplicas}=2', 'swp/pool', '--timeout=60s'])
    url = `http://${await forward('-n', 'agent-sandbox-system', 'svc/sandbox-router-svc', ':8080')}`
  }, SETUP_MS)
  afterAll(() => stack.disposeAsync())

  /** Gives `127.0.0.1:PORT`. */
  async function forward(...what: string[]): Promise<string> {
    return `127.0.0.1:${stack.use(await forwardPort(['port-forward', ...what], cluster.env)).port}`
  }

  async function seen(version: string, script: string, ...args: string[]): Promise<unknown> {
    const kubectl = findKubectl()
    const path = kubectl ? `${dirname(kubectl)}:${process.env['PATH']}` : process.env['PATH']
    const { code, stdout, stderr } = await run(pythons.get(version) ?? '', [join(SCRIPTS, script), ...args], {
      env: { ...cluster.env, PATH: path ?? '' },
    })
    if (code !== 0) throw new Error(`${script} with ${version} exited with ${code}\n${stdout}\n${stderr}`)
    return JSON.parse(stdout)
  }

  test.each(VERSIONS)('%s through a tunnel of its own to the router', async (version) => {
    const { every, tunnel } = SINCE[version] ?? {}
    expect(await seen(version, 'sync.py', 'tunnel')).toEqual({ ...ROUTED, ...every, ...tunnel })
  })

  test.each(VERSIONS)('%s with the address of the router', async (version) => {
    const { every, direct } = SINCE[version] ?? {}
    expect(await seen(version, 'sync.py', 'direct', url)).toEqual({ ...ROUTED, ...every, ...direct })
  })

  /** sandboxd's API came with 1.0. Paths are its own, and commands go through a shell. */
  const SANDBOXD = {
    ...ROUTED,
    list: [['plain.txt', 'file', 2]],
    'not empty': ['SandboxRequestError', 409],
    deleted: false,
  }
  test.each(['1.0.3', '1.0.8'])('%s with sandboxd’s API, by a tunnel to the Pod itself', async (version) => {
    const shell = version === '1.0.8' ? { environment: "a 'b|line\nline|", 'working directory': 'er\n' } : {}
    const { every } = SINCE[version] ?? {}
    expect(await seen(version, 'sync.py', 'sandboxd')).toEqual({ ...SANDBOXD, ...every, ...shell })
  })

  test.each(VERSIONS)('%s asynchronously', async (version) => {
    expect(await seen(version, 'asynchronous.py', url)).toEqual(seenAsynchronously(version))
  })

  test('the lines of the README', async () => {
    const [, lines = ''] = readFileSync(README, 'utf8').split('```python\n')
    for (const command of [
      ['template', 'create', 'python', '--', 'sleep', 'infinity'],
      ['pool', 'create', 'python', '--template', 'python', '--replicas', '1'],
    ])
      await cluster.mustCaisson(command)
    const path = `${dirname(findKubectl() ?? '')}:${process.env['PATH']}`
    const { code, stdout, stderr } = await run(pythons.get('1.0.8') ?? '', ['-c', lines.split('```')[0] ?? ''], {
      env: { ...cluster.env, PATH: path },
    })
    expect([code, stdout], stderr).toEqual([0, '42\n'])
  })

  test('its processes, by the stubs that it comes with', async () => {
    const claim = {
      apiVersion: 'extensions.agents.x-k8s.io/v1beta1',
      kind: 'SandboxClaim',
      metadata: { name: 'processes' },
      spec: { warmPoolRef: { name: 'pool' } },
    }
    await cluster.mustKubectl(['apply', '-f', '-'], { input: JSON.stringify(claim) })
    await cluster.mustKubectl(['wait', '--for=condition=Ready', 'sandboxclaim/processes', '--timeout=90s'])
    const name = await cluster.mustKubectl(['get', 'sandboxclaim/processes', '-o', 'jsonpath={.status.sandbox.name}'])
    expect(await seen('1.0.8', 'processes.py', await forward(`pod/${name}`, ':9090'))).toEqual({
      input: ['hello', '', 0],
      errors: ['out\n', 'err\n', 7],
      SIGINT: 130,
      SIGTERM: 143,
      SIGKILL: 137,
      terminal: ['30 100\r\nline\r\n20 50\r\ngot line hi\r\n', '', 0],
      'no such process': 'NOT_FOUND',
      'no such command': 'NOT_FOUND',
      'no command': 'INVALID_ARGUMENT',
      'out of the sandbox': 'PERMISSION_DENIED',
      deadline: 'DEADLINE_EXCEEDED',
      'large words': 100_000,
    })
  })
})
