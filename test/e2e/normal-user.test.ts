/** The node of a normal user: what can work without root does, and what cannot says why. */
import {
  chownSync,
  cpSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs'
import { homedir, tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { readDaemonRecord } from '../../packages/cli/src/cluster/daemon-record.ts'
import { dataDirectory } from '../../packages/cli/src/cluster/data-directory.ts'
import { findKubectl, type Outcome, type RunOptions, run } from './fixture.ts'
import { leftovers } from './leftovers.ts'

const ROOT = join(import.meta.dirname, '../..')
const CAISSON = join(ROOT, 'bin/caisson')
/** Nobody of this machine. */
const USER = 61_234
const AS_USER = ['--reuid', String(USER), '--regid', String(USER), '--clear-groups', '--inh-caps=-all', '--']

let home: string
let data: string
let env: Record<string, string>
beforeAll(async () => {
  home = mkdtempSync(join(tmpdir(), 'caisson-user-'))
  data = join(home, '.local', 'state', 'caisson')
  const tools = process.env['CAISSON_TOOLS_DIR'] ?? join(homedir(), '.cache', 'caisson', 'tools')
  env = { HOME: home, CAISSON_TOOLS_DIR: join(home, 'tools'), KUBECONFIG: join(data, 'kubeconfig') }
  // Those that other tests have fetched, where this user can read them.
  mkdirSync(join(home, 'tools', 'bin'), { recursive: true })
  for (const name of ['runsc', 'busybox']) cpSync(join(tools, 'bin', name), join(home, 'tools', 'bin', name))
  chownSync(home, USER, USER)
})
afterAll(async () => {
  const down = await caisson(['down'])
  rmSync(home, { recursive: true, force: true })
  expect(down).toMatchObject({ code: 0 })
})

const caisson = (args: string[], options?: RunOptions): Promise<Outcome> =>
  run('setpriv', [...AS_USER, CAISSON, ...args], { cwd: home, ...options, env: { ...env, ...options?.env } })

async function must(args: string[]): Promise<string> {
  const { code, stdout, stderr } = await caisson(args)
  if (code !== 0) throw new Error(`caisson ${args.join(' ')} exited with ${code}\n${stdout}\n${stderr}`)
  return stdout
}

async function kubectl(args: string[], input?: string): Promise<string> {
  const options = { env: { ...env, KUBECACHEDIR: join(home, 'kubectl-cache') }, ...(input !== undefined && { input }) }
  const { code, stdout, stderr } = await run(findKubectl() ?? 'kubectl', args, options)
  if (code !== 0) throw new Error(`kubectl ${args.join(' ')} exited with ${code}\n${stderr}`)
  return stdout
}

/** Processes of the user that do something. */
function processesOfUser(): string[] {
  return readdirSync('/proc').filter((name) => {
    if (!/^\d+$/.test(name)) return false
    try {
      const status = readFileSync(`/proc/${name}/status`, 'utf8')
      return new RegExp(`^Uid:\\s+${USER}\\b`, 'm').test(status) && !/^State:\s+Z/m.test(status)
    } catch {
      return false
    }
  })
}

describe('a normal user', () => {
  test('is told by doctor what works and what does not', async () => {
    const { code, stdout } = await caisson(['doctor', '-o', 'json'])
    const { findings } = JSON.parse(stdout) as { findings: Array<{ check: string; state: string; message: string }> }
    expect(findings.find(({ check }) => check === 'root')).toMatchObject({
      state: 'note',
      message: expect.stringMatching(
        /^as a normal user: gVisor and volumes, .*; no pod network, .* no limits of memory/,
      ),
    })
    expect(code).toBe(0)
  })

  test('where there are no user namespaces, is told what to ask for', async () => {
    // The kernel gives none to whoever is in a root directory of his own.
    const root = join(home, 'root')
    const script = `mkdir -p ${root} && mount --rbind / ${root} && exec chroot ${root} setpriv "$@"`
    const refused = await run('unshare', ['--mount', 'sh', '-c', script, 'sh', ...AS_USER, CAISSON, 'up'], { env })
    expect(refused).toMatchObject({
      code: 77,
      stderr: expect.stringMatching(
        /^caisson: the node needs root, or user namespaces: unshare: unshare failed: Operation not permitted: run it with sudo, or have an administrator allow them \(sysctl /m,
      ),
    })
  })

  test('runs commands, which end with their exit codes, in a cluster that starts by itself', async () => {
    const first = await caisson(['run', '--', 'echo', 'hi'])
    expect(first).toMatchObject({ code: 0, stdout: 'hi\n' })
    expect(first.stderr).toContain('no pod network and no control groups')
    expect(await caisson(['run', '--', 'sh', '-c', 'id -u; exit 7'])).toEqual({
      code: 7,
      stdout: '65534\n',
      stderr: '',
    })
  })

  test('shares a directory with a sandbox, in which root is the user', async () => {
    const shared = join(home, 'shared')
    mkdirSync(shared)
    chownSync(shared, USER, USER)
    await must(['run', '--user', '0', '-v', `${shared}:/shared`, '--', 'sh', '-c', 'echo made > /shared/file'])
    expect(readFileSync(join(shared, 'file'), 'utf8')).toBe('made\n')
    expect(statSync(join(shared, 'file')).uid).toBe(USER)
  })

  test('gives a sandbox none of his own files', async () => {
    writeFileSync(join(home, 'secret'), 'mine', { mode: 0o644 })
    const read = await caisson(['run', '--user', '0', '--', 'cat', join(home, 'secret')])
    expect(read).toMatchObject({ code: 1, stderr: expect.stringContaining('No such file') })
  })

  test('runs Pods with volumes and groups, whose conditions say what they go without', async () => {
    const pod = {
      apiVersion: 'v1',
      kind: 'Pod',
      metadata: { name: 'whole' },
      spec: {
        securityContext: { fsGroup: 2000 },
        containers: [
          {
            name: 'main',
            image: 'caisson.dev/host',
            command: ['sh', '-c', 'echo ok > /data/x && echo ok > /memory/x && exec sleep 1000'],
            resources: { limits: { memory: '64Mi' } },
            volumeMounts: [
              { name: 'data', mountPath: '/data' },
              { name: 'memory', mountPath: '/memory' },
            ],
          },
          {
            name: 'other',
            image: 'caisson.dev/host',
            command: ['sleep', '1000'],
            securityContext: { runAsUser: 1000 },
            resources: { limits: { memory: '64Mi' } },
          },
        ],
        volumes: [
          { name: 'data', emptyDir: {} },
          { name: 'memory', emptyDir: { medium: 'Memory', sizeLimit: '1Mi' } },
        ],
      },
    }
    await kubectl(['apply', '-f', '-'], JSON.stringify(pod))
    await kubectl(['wait', '--for=condition=Ready', 'pod/whole', '--timeout=60s'])
    const { status } = JSON.parse(await kubectl(['get', 'pod', 'whole', '-o', 'json'])) as {
      status: { conditions: Array<{ type: string; status: string; reason?: string; message?: string }> }
    }
    expect(
      status.conditions
        .filter(({ type }) => type.startsWith('caisson.dev/'))
        .map(({ type, status, reason }) => ({ type, status, reason })),
    ).toEqual([
      { type: 'caisson.dev/NetworkReady', status: 'False', reason: 'NetworkMissing' },
      { type: 'caisson.dev/LimitsHeld', status: 'False', reason: 'ControlGroupsMissing' },
      { type: 'caisson.dev/OwnersKept', status: 'False', reason: 'UsersMissing' },
    ])
    expect(await kubectl(['exec', 'whole', '-c', 'main', '--', 'sh', '-c', 'grep -c : /proc/net/dev'])).toBe('1\n')
    const token = '/var/run/secrets/kubernetes.io/serviceaccount/token'
    expect(await kubectl(['exec', 'whole', '-c', 'other', '--', 'sh', '-c', `id -u; head -c 2 ${token}`])).toBe(
      '1000\ney',
    )
  })

  test('has no Pod under a runtime that needs root, and is told so', async () => {
    const refused = await caisson(['run', '--runtime-class', 'runc', '--', 'true'])
    expect(refused.code).not.toBe(0)
    expect(refused.stderr).toContain('runc needs control groups and devices')
  })

  test('imports images, forks a sandbox, and has it sleep and wake', async () => {
    const archive = join(home, 'busybox.tar')
    const built = await run('bash', [join(ROOT, 'examples/busybox-image.sh'), archive], { env })
    expect(built).toMatchObject({ code: 0 })
    await must(['image', 'import', archive])
    const image = JSON.parse(await must(['image', 'ls', '-o', 'json'])) as Array<{ name: string }>
    expect(await must(['run', '--image', image[0]?.name ?? '', '--', 'echo', 'from an image'])).toBe('from an image\n')
    await must(['run', '--detach', '--name', 'source', '--', 'sh', '-c', 'echo kept > /tmp/x; sleep 1000'])
    await must(['exec', 'source', '--', 'sh', '-c', 'until [ -s /tmp/x ]; do sleep 0.01; done'])
    const [copy = ''] = (await must(['fork', 'source'])).trim().split('\n')
    expect(await must(['exec', copy, '--', 'cat', '/tmp/x'])).toBe('kept\n')
    await must(['suspend', 'source'])
    await must(['resume', 'source'])
    expect(await must(['exec', 'source', '--', 'cat', '/tmp/x'])).toBe('kept\n')
  })

  test('finds his sandboxes again when the cluster was killed, volumes included, and stops them all', async () => {
    const running = readDaemonRecord(dataDirectory(data))
    if (!running) throw new Error('the cluster does not run')
    process.kill(running.pid, 'SIGKILL')
    await must(['up', '--detach'])
    expect(await kubectl(['exec', 'whole', '-c', 'main', '--', 'cat', '/data/x', '/memory/x'])).toBe('ok\nok\n')
    // Mounted by the process before: what the one of now takes away has to be in its own view too.
    await kubectl(['delete', 'pod', 'whole', '--timeout=60s'])
    expect(readdirSync(join(data, 'kubelet', 'pods'))).not.toContain('whole')
    // One that is killed and stays so leaves what `down` has to find.
    process.kill(readDaemonRecord(dataDirectory(data))?.pid ?? 0, 'SIGKILL')
    expect(processesOfUser().length).toBeGreaterThan(0)
    await must(['down'])
    expect(leftovers(data)).toEqual({ processes: [], mounts: [], namespaces: [], containers: [], groups: [] })
    expect(processesOfUser()).toEqual([])
  })
})

test('a data directory that is closed to the user is said to be, and not that nothing runs there', async () => {
  const theirs = mkdtempSync(join(tmpdir(), 'caisson-theirs-'))
  try {
    for (const args of [['status'], ['ls'], ['kubeconfig'], ['up', '--detach'], ['run', '--', 'true'], ['down']])
      expect(await caisson(['--data-dir', theirs, ...args]), args.join(' ')).toEqual({
        code: 77,
        stdout: '',
        stderr: `caisson: the data directory ${theirs} is another user's, and closed to you: choose another with --data-dir or CAISSON_DATA_DIR\n`,
      })
  } finally {
    rmSync(theirs, { recursive: true })
  }
})
