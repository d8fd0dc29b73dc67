/** How commands and sandboxes end other than by themselves, and what `caisson` says of it. */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { text } from 'node:stream/consumers'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { type Cluster, type Outcome, run, startCluster } from './fixture.ts'

let cluster: Cluster
let work: string
beforeAll(async () => {
  cluster = await startCluster()
  work = mkdtempSync(join(tmpdir(), 'caisson-endings-'))
})
afterAll(async () => {
  rmSync(work, { recursive: true, force: true })
  await cluster[Symbol.asyncDispose]()
})

const sandboxesNow = async (): Promise<string> => cluster.mustCaisson(['ls', '-A', '-o', 'name'])

describe('output that cannot be written', () => {
  /** As a shell has it; the codes of both ends of the pipe are the last line. */
  const shell = (line: string): Promise<Outcome> =>
    run('bash', ['-c', `${line.replaceAll('caisson', `${process.cwd()}/bin/caisson`)}\necho "\${PIPESTATUS[@]}"`], {
      env: cluster.env,
    })

  beforeAll(async () => {
    await cluster.mustCaisson(['run', '--detach', '--name', 'source', '--', 'sleep', 'infinity'])
    await cluster.mustKubectl(['wait', '--for=condition=Ready', 'sandbox/source', '--timeout=60s'])
  })
  afterAll(async () => {
    await cluster.mustCaisson(['rm', 'source'])
  })

  test.each([
    ['a list', 'caisson ls -o yaml | sleep 0', '141 0\n'],
    ['help', 'caisson --help | sleep 0', '141 0\n'],
    [
      'a log that is followed',
      'caisson run --name logged --detach -- yes; caisson logs -f logged | head -1',
      '141 0\n',
    ],
    ['a command that is executed', 'caisson exec source -- yes | head -1', '141 0\n'],
    ['a sandbox', 'caisson run -- yes | head -1', '141 0\n'],
    ['what it says of errors', 'caisson rm source-not 2>&1 >/dev/null | sleep 0', '141 0\n'],
  ])('ends %s as SIGPIPE would, where nobody reads it', async (_name, line, codes) => {
    const { stdout, stderr } = await shell(line)
    expect([stdout.split('\n').slice(-2).join('\n'), stderr]).toEqual([codes, ''])
    if (line.includes('logged')) await cluster.mustCaisson(['rm', 'logged'])
    expect(await sandboxesNow()).toBe('sandbox/source\n')
  })

  test.each([
    'ls -o json',
    'version',
    'status -o json',
    'kubeconfig',
    'run -- echo words',
    'run --name full --detach -- true',
    'exec source -- echo words',
  ])('is an error of %s on a full disk', async (command) => {
    expect(await shell(`caisson ${command} >/dev/full`)).toEqual({
      code: 0,
      stdout: '1\n',
      stderr: expect.stringMatching(
        /^caisson: standard output cannot be written: (?:write )?ENOSPC: no space left on device(?:, write)?: what it was to say is not all there\n$/,
      ),
    })
    if (command.includes('--detach')) await cluster.mustCaisson(['rm', 'full'])
    expect(await sandboxesNow()).toBe('sandbox/source\n')
  })
})

describe('a sandbox that is over its limits', () => {
  test('is said to have been killed for its memory', async () => {
    const script = 'x = "x" * 300_000_000\nprint(len(x))'
    const run = ['run', '--keep', '--name', 'greedy', '--memory', '64Mi', '--', 'python3', '-c', script]
    expect(await cluster.caisson(run)).toEqual({
      code: 137,
      stdout: '',
      stderr: 'caisson: greedy was killed: over its memory limit 64Mi (--memory)\n',
    })
    await expect
      .poll(async () => (await cluster.mustCaisson(['ls', '-o', 'wide'])).split('\n')[1])
      .toMatch(/container "main": exited with 137 \(OOMKilled\)$/)
    expect(await cluster.caisson(['exec', 'greedy', '--', 'true'])).toEqual({
      code: 69,
      stdout: '',
      stderr: "caisson: greedy was killed: over its memory limit 64Mi: 'caisson logs greedy' prints what it wrote\n",
    })
    await cluster.mustCaisson(['rm', 'greedy'])
  })

  test('is said to have been evicted for its files', async () => {
    const script = 'head -c 50000000 /dev/zero >/var/large; exec sleep 1000'
    const run = ['run', '--keep', '--name', 'hoarder', '--storage', '1Mi', '--user', '0', '--', 'sh', '-c', script]
    const evicted = 'Pod ephemeral local storage usage exceeds the total limit of containers 1Mi'
    expect(await cluster.caisson(run)).toEqual({
      code: 143,
      stdout: '',
      stderr: `caisson: hoarder was evicted: ${evicted} (--storage)\n`,
    })
    await expect
      .poll(async () => (await cluster.mustCaisson(['ls', '-o', 'wide'])).split('\n')[1])
      .toMatch(new RegExp(`Pod: ${evicted}\\.$`))
    await cluster.mustCaisson(['rm', 'hoarder'])
  })
})

describe('a sandbox that has ended', () => {
  test('executes nothing any more, and says why', async () => {
    await cluster.mustCaisson(['run', '--keep', '--name', 'done', '--', 'echo', 'said'])
    for (const command of [
      ['exec', 'done', '--', 'true'],
      ['cp', 'done:/etc/passwd', join(work, 'passwd')],
      ['port-forward', 'done', ':80'],
    ])
      expect(await cluster.caisson(command)).toEqual({
        code: 69,
        stdout: '',
        stderr: "caisson: done has ended (exit code 0): 'caisson logs done' prints what it wrote\n",
      })
    expect(await cluster.mustCaisson(['logs', 'done'])).toBe('said\n')
    await cluster.mustCaisson(['rm', 'done'])
  })

  test('tells a terminal nothing by the words with which it ended', async () => {
    const words = String.raw`printf '\033]0;title\007\033[31mred\302\2331m\r\nnext' >/dev/termination-log; exit 1`
    await cluster.mustCaisson(['run', '--detach', '--name', 'armed', '--', 'sh', '-c', words])
    const list = (): Promise<string> => cluster.mustCaisson(['ls', '-o', 'wide'])
    await expect.poll(list).toContain('PodFailed')
    const lines = (await list()).split('\n')
    expect(lines[1]).toMatch(/^armed .* container "main": exited with 1: /)
    expect(lines[1]?.split('exited with 1: ')[1]).toBe(String.raw`\u001b]0;title\u0007\u001b[31mred\u009b1m\r\nnext`)
    expect(lines.slice(2)).toEqual([''])
    await cluster.mustCaisson(['rm', 'armed'])
  })

  test('is removed by the cluster where nobody waits for it and that was asked for', async () => {
    expect(await cluster.mustCaisson(['run', '--detach', '--rm', '--name', 'brief', '--', 'true'])).toBe('brief\n')
    await cluster.mustCaisson(['run', '--detach', '--rm', '--name', 'failing', '--', '/no/such'])
    await cluster.mustCaisson(['run', '--detach', '--rm', '--name', 'lasting', '--', 'sleep', 'infinity'])
    await expect.poll(sandboxesNow, { timeout: 30_000 }).toBe('sandbox/lasting\n')
    await cluster.mustCaisson(['exec', 'lasting', '--', 'true'])
    await cluster.mustCaisson(['rm', 'lasting'])
  })
})

test('sandboxes with directories or ports of this machine are found without their namespace', async () => {
  const port = await freePort()
  const made = ['run', '--detach', '-v', `${work}:/here:ro`, '--publish', `${port}:80`, '--', 'sleep', 'infinity']
  expect(await cluster.caisson([...made.slice(0, 2), '--name', 'mounted', ...made.slice(2)])).toEqual({
    code: 0,
    stdout: 'mounted\n',
    stderr: 'caisson: mounted uses this machine’s directories or ports: it is in namespace caisson-host-volumes\n',
  })
  await cluster.mustCaisson(['run', '--detach', '--name', 'plain', '--', 'sleep', 'infinity'])
  expect(await cluster.mustCaisson(['exec', 'mounted', '--', 'ls', '-d', '/here'])).toBe('/here\n')
  expect(await cluster.mustCaisson(['logs', 'mounted'])).toBe('')
  await cluster.mustCaisson(['cp', 'mounted:/etc/passwd', join(work, 'passwd')])
  const cells = (text: string): string[][] =>
    text
      .trim()
      .split('\n')
      .map((line) => line.split(/\s+/).slice(0, 2))
  const both = [
    ['NAMESPACE', 'NAME'],
    ['default', 'plain'],
    ['caisson-host-volumes', 'mounted'],
  ]
  expect(cells(await cluster.mustCaisson(['ls']))).toEqual(both)
  expect(await cluster.mustCaisson(['ls', '-n', 'default', '-o', 'name'])).toBe('sandbox/plain\n')
  expect(await cluster.caisson(['exec', '-n', 'default', 'mounted', '--', 'true'])).toEqual({
    code: 66,
    stdout: '',
    stderr: "caisson: no sandbox mounted in namespace default: 'caisson ls' lists them\n",
  })
  expect(await cluster.caisson(['-n', 'default', ...made])).toEqual({
    code: 64,
    stdout: '',
    stderr:
      'caisson: -v and --publish need the namespace caisson-host-volumes, where directories and ports of this machine may be used: leave out -n default\n',
  })
  expect(await cluster.mustCaisson(['rm', 'mounted'])).toBe('mounted\n')
  await cluster.mustCaisson(['run', '--detach', '--name', 'again', '-v', `${work}:/here:ro`, '--', 'sleep', 'infinity'])
  expect((await cluster.mustCaisson(['rm', '--all'])).split('\n').sort()).toEqual(['', 'again', 'plain'])
  expect(await sandboxesNow()).toBe('')
})

async function freePort(): Promise<number> {
  const server = createServer()
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const address = server.address()
  await new Promise((resolve) => server.close(resolve))
  if (typeof address !== 'object' || !address) throw new Error('the server has no port')
  return address.port
}

test('their namespace is there from the start, and its label decides', async () => {
  const namespace = 'caisson-host-volumes'
  const label = 'pod-security.kubernetes.io/enforce'
  const mounting = (): ReturnType<Cluster['caisson']> =>
    cluster.caisson(['run', '-v', `${work}:/here:ro`, '--', 'ls', '-d', '/here'])
  const refused = (found: string) => ({
    code: 77,
    stdout: '',
    stderr: `caisson: namespace ${namespace} ${found}, so that -v and --publish are refused there: 'kubectl label namespace ${namespace} --overwrite ${label}=privileged' allows them\n`,
  })
  await cluster.mustKubectl(['label', 'namespace', namespace, `${label}-`])
  expect(await mounting()).toEqual(refused(`has no label ${label}`))
  await cluster.mustKubectl(['label', 'namespace', namespace, `${label}=baseline`])
  expect(await mounting()).toEqual(refused(`has the label ${label}=baseline`))
  await cluster.mustKubectl(['label', 'namespace', namespace, '--overwrite', `${label}=privileged`])
  expect(await mounting()).toEqual({ code: 0, stdout: '/here\n', stderr: '' })
  await cluster.mustKubectl(['delete', 'namespace', namespace])
  expect(await mounting()).toEqual({ code: 0, stdout: '/here\n', stderr: '' })
})

test('a cluster that is killed under a command', async () => {
  const { pid } = JSON.parse(await cluster.mustCaisson(['status', '-o', 'json'])) as { pid: number }
  const child = spawn('bin/caisson', ['run', '--', 'sh', '-c', 'echo up; sleep 100'], {
    env: { ...process.env, ...cluster.env },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  const said = text(child.stderr)
  await new Promise<void>((resolve) => createInterface(child.stdout).once('line', () => resolve()))
  process.kill(pid, 'SIGKILL')
  const [code] = await once(child, 'exit')
  expect([code, await said]).toEqual([
    69,
    expect.stringMatching(
      /^caisson: (?:the connection to the server broke|cannot connect to the server).*: see that the cluster runs \('caisson status' tells of the embedded one\)\n$/,
    ),
  ])
})
