/** `caisson claim`, `pool` and `template`: a sandbox that is ready already, for one command. */
import { spawn } from 'node:child_process'
import { join } from 'node:path'
import type { SandboxTemplate } from '@caisson/api'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { type Cluster, startCluster } from './fixture.ts'

const CAISSON = join(import.meta.dirname, '../../bin/caisson')
let cluster: Cluster

beforeAll(async () => {
  cluster = await startCluster()
  await cluster.mustCaisson(['template', 'create', 'python'])
  await cluster.mustCaisson(['pool', 'create', 'python', '--template', 'python', '--replicas', '2'])
  await cluster.mustKubectl(['wait', '--for=condition=Ready', 'sandboxwarmpool/python', '--timeout=60s'])
})
afterAll(() => cluster[Symbol.asyncDispose]())

const claims = async (): Promise<string> => cluster.mustKubectl(['get', 'sandboxclaims', '-o', 'name'])

test('runs a command with its streams and its exit code, and gives the sandbox back', async () => {
  const outcome = await cluster.caisson(['claim', '-i', 'python', '--', 'sh', '-c', 'cat; echo wrong >&2; exit 7'], {
    input: 'given',
  })
  expect(outcome).toEqual({ code: 7, stdout: 'given', stderr: 'wrong\n' })
  expect(await cluster.caisson(['run', '--pool', 'python', '--', 'id', '-u'])).toEqual({
    code: 0,
    stdout: '65534\n',
    stderr: '',
  })
  expect(await claims()).toBe('')
})

test('keeps the sandbox where that is asked for', async () => {
  const kept = await cluster.caisson(['claim', '--keep', '--name', 'mine', 'python'])
  const name = kept.stdout.trim()
  expect(kept.stderr).toBe(`caisson: sandbox ${name}, kept until 'kubectl delete sandboxclaim mine -n default'\n`)
  expect(await cluster.mustCaisson(['exec', name, '--', 'echo', 'still there'])).toBe('still there\n')
  await cluster.mustKubectl(['delete', 'sandboxclaim', 'mine'])
})

test.each([
  ['SIGINT', 130],
  ['SIGKILL', null],
] as const)('gives it back when it is ended by %s', async (signal, code) => {
  // The launcher becomes the program: the signal reaches it.
  const child = spawn(CAISSON, ['claim', 'python', '--', 'sh', '-c', 'echo begun; exec sleep 60'], {
    env: { ...process.env, ...cluster.env },
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  await new Promise((resolve) => child.stdout.once('data', resolve))
  const [claim = ''] = (await claims()).split('\n')
  expect(claim).toMatch(/^sandboxclaim\.extensions\.agents\.x-k8s\.io\/claim-/)
  const ended = new Promise((resolve) => child.once('close', resolve))
  child.kill(signal)
  expect(await ended).toBe(code)
  await cluster.mustKubectl(['wait', '--for=delete', claim, '--timeout=60s'])
})

test('ends a command that takes too long', async () => {
  const outcome = await cluster.caisson(['claim', '--timeout', '1s', 'python', '--', 'sleep', '60'])
  expect(outcome.code).toBe(124)
  expect(outcome.stderr).toBe('caisson: the command did not end within 1s and was stopped\n')
})

test.each<[string[], number, string]>([
  [
    ['claim', 'none', '--', 'true'],
    66,
    `pool none gives no sandbox: SandboxWarmPool "none" not found: 'caisson pool ls' lists those that there are`,
  ],
  [['claim', 'python'], 64, 'no command given: put one behind --, or keep the sandbox with --keep'],
  [
    ['claim', 'python', '--enw', 'A=b', '--', 'env'],
    64,
    'caisson claim has no option --enw: a command that begins like one stands behind --',
  ],
  [
    ['run', '--pool', 'python', '--memory', '1Gi', '--', 'true'],
    64,
    '--memory says what a new sandbox is like, and those of a pool are as its template says: leave out --memory or --pool',
  ],
  [
    ['pool', 'create', 'other', '--template', 'none'],
    66,
    `no template none in namespace default: 'caisson template ls' lists them, 'caisson template create' makes one`,
  ],
  [
    ['pool', 'create', 'python', '--template', 'python'],
    1,
    `there is a pool python already: 'caisson pool scale python N' changes its size`,
  ],
  [
    ['pool', 'create', 'other', '--template', 'python', '--replicas', '2', '--min', '1'],
    64,
    '--replicas and --min or --max contradict each other: a pool is of one size, or follows demand',
  ],
  [['pool', 'scale', 'none', '1'], 66, `no pool none in namespace default: 'caisson pool ls' lists them`],
  [['pool', 'scale', 'python', 'many'], 64, 'REPLICAS takes a number from 0 on, not "many"'],
  [['template', 'create', 'python'], 1, 'there is a template python already: choose another name'],
])('%j is an error', async (args, code, message) => {
  expect(await cluster.caisson(args)).toEqual({ code, stdout: '', stderr: `caisson: ${message}\n` })
})

test('options may stand behind the name as well', async () => {
  await cluster.mustCaisson(['template', 'create', 'given', '--claim-env', '--memory', '1Gi', '--', 'sleep', '60'])
  const [template] = (
    JSON.parse(await cluster.mustCaisson(['template', 'ls', '-o', 'json'])) as { items: SandboxTemplate[] }
  ).items
  await cluster.mustKubectl(['delete', 'sandboxtemplate', 'given'])
  expect(template?.spec).toMatchObject({
    envVarsInjectionPolicy: 'Allowed',
    envVarsDelivery: 'Warm',
    podTemplate: { spec: { containers: [{ command: ['sleep', '60'], resources: { limits: { memory: '1Gi' } } }] } },
  })
  const outcome = await cluster.caisson(['claim', 'python', '-i', '--timeout', '1m', 'cat'], { input: 'given' })
  expect(outcome).toEqual({ code: 0, stdout: 'given', stderr: '' })
})

test('lists and scales', async () => {
  expect(await cluster.mustCaisson(['template', 'ls', '-o', 'name'])).toBe('sandboxtemplate/python\n')
  await cluster.mustCaisson(['pool', 'scale', 'python', '1'])
  await cluster.mustKubectl(['wait', '--for=jsonpath={.status.replicas}=1', 'sandboxwarmpool/python', '--timeout=60s'])
  const [header, row] = (await cluster.mustCaisson(['pool', 'ls'])).split('\n')
  expect(header?.split(/\s+/)).toEqual(['NAME', 'READY', 'DESIRED', 'TEMPLATE', 'REASON', 'AGE'])
  expect(row?.split(/\s+/).slice(0, 4)).toEqual(['python', '1', '1', 'python'])
  const [pool] = (JSON.parse(await cluster.mustCaisson(['pool', 'ls', '-o', 'json'])) as { items: { spec: object }[] })
    .items
  expect(pool?.spec).toEqual({ replicas: 1, sandboxTemplateRef: { name: 'python' } })
})
