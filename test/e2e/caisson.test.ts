/** Every command of `caisson`, as a user types it. */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { text } from 'node:stream/consumers'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { type Cluster, run, startCluster } from './fixture.ts'
import { leftovers } from './leftovers.ts'

let cluster: Cluster
let work: string
beforeAll(async () => {
  cluster = await startCluster({ busybox: true })
  work = mkdtempSync(join(tmpdir(), 'caisson-cli-'))
})
afterAll(async () => {
  rmSync(work, { recursive: true, force: true })
  await cluster[Symbol.asyncDispose]()
})

const sandboxesNow = async (): Promise<string> => cluster.mustCaisson(['ls', '-A', '-o', 'name'])

describe('caisson run', () => {
  test('passes output and exit code on, each stream apart, and leaves no sandbox', async () => {
    const outcome = await cluster.caisson(['run', '--', 'sh', '-c', 'echo out; echo err >&2; exit 3'])
    expect(outcome).toEqual({ code: 3, stdout: 'out\n', stderr: 'err\n' })
    expect(await sandboxesNow()).toBe('')
  })

  test('executes what was written: a $ is a $', async () => {
    const script = 'test $$ -gt 0; echo "$(printf %s made)" $VALUE'
    const outcome = await cluster.caisson([
      'run',
      '-e',
      'printf=no',
      '-e',
      'VALUE=$(printf)$$',
      '--',
      'sh',
      '-c',
      script,
    ])
    expect(outcome).toEqual({ code: 0, stdout: 'made $(printf)$$\n', stderr: '' })
  })

  test('loses and doubles nothing of a long output', async () => {
    const outcome = await cluster.caisson(['run', '--', 'seq', '1', '60000'])
    expect(outcome.code).toBe(0)
    expect(outcome.stdout).toBe(Array.from({ length: 60_000 }, (_, index) => `${index + 1}\n`).join(''))
  })

  test('passes standard input on with -i, and its end', async () => {
    const outcome = await cluster.caisson(['run', '-i', '--', 'wc', '-c'], { input: 'x'.repeat(200_000) })
    expect([outcome.code, outcome.stdout.trim(), outcome.stderr]).toEqual([0, '200000', ''])
  })

  test('gives no standard input without -i', async () => {
    const outcome = await cluster.caisson(['run', '--', 'cat'], { input: 'not for it' })
    expect(outcome).toEqual({ code: 0, stdout: '', stderr: '' })
  })

  test('gives a terminal with -t', async () => {
    const command = `${process.cwd()}/bin/caisson run -it -- sh -c 'test -t 0 && test -t 1 && echo terminal; exit 4'`
    const outcome = await run('script', ['-qec', command, '/dev/null'], { env: cluster.env, input: '' })
    // The terminal of `script` echoes the end of its own input.
    expect([outcome.code, outcome.stdout.replaceAll(/\r|\^@/g, '')]).toEqual([4, 'terminal\n'])
  })

  test('refuses -it where there is no terminal', async () => {
    const outcome = await cluster.caisson(['run', '-it', '--', 'sh'], { input: '' })
    expect(outcome).toEqual({
      code: 64,
      stdout: '',
      stderr: 'caisson: -t needs a terminal, and standard input is none: leave -t out for pipes\n',
    })
  })

  test('sets environment, working directory and user', async () => {
    const args = ['-e', 'A=b c', '-e', 'FROM_HERE', '-w', '/usr', '--user', '1234:567']
    const outcome = await cluster.caisson(
      ['run', ...args, '--', 'sh', '-c', 'echo "$A,$FROM_HERE"; pwd; id -u; id -g'],
      {
        env: { FROM_HERE: 'here' },
      },
    )
    expect(outcome).toEqual({ code: 0, stdout: 'b c,here\n/usr\n1234\n567\n', stderr: '' })
  })

  test('is not root, reaches nothing, sees another kernel and none of this machine’s files', async () => {
    const secret = join(work, 'secret')
    writeFileSync(secret, 'secret')
    const script = `id -u; ls /sys/class/net 2>/dev/null; cat /proc/net/dev | tail -n +3 | cut -d: -f1 | tr -d ' '; dmesg | head -1; cat ${secret} /etc/shadow /root/.bashrc; ls /home /proc/1/root/work`
    const { stdout, stderr } = await cluster.caisson(['run', '--', 'sh', '-c', script])
    expect(stdout.split('\n')[0]).not.toBe('0')
    expect(stdout).toContain('Starting gVisor...')
    expect(stdout).not.toMatch(/veth|secret|root:/)
    expect(stderr).toContain(`${secret}: No such file or directory`)
    const connected = await cluster.caisson([
      'run',
      '--',
      'python3',
      '-c',
      'import socket; socket.create_connection(("1.1.1.1", 53), 2)',
    ])
    expect([connected.code, connected.stderr.trim().split('\n').at(-1)]).toEqual([
      1,
      expect.stringContaining('ConnectionRefusedError'),
    ])
  })

  test('mounts a directory, read-only where that is asked', async () => {
    const shared = join(work, 'shared')
    mkdirSync(shared, { mode: 0o777 })
    writeFileSync(join(shared, 'given'), 'given\n')
    const script = 'cat /mnt/given; echo taken >/mnt/taken'
    const both = await cluster.caisson(['run', '--user', '0', '-v', `${shared}:/mnt`, '--', 'sh', '-c', script])
    expect([both.code, both.stdout, readFileSync(join(shared, 'taken'), 'utf8')]).toEqual([0, 'given\n', 'taken\n'])
    const readOnly = await cluster.caisson([
      'run',
      '--user',
      '0',
      '-v',
      `${shared}:/mnt:ro`,
      '--',
      'sh',
      '-c',
      'echo no >/mnt/other',
    ])
    expect(readOnly.code).not.toBe(0)
    expect(readOnly.stderr).toContain('Read-only file system')
    expect(existsSync(join(shared, 'other'))).toBe(false)
  })

  test('stops what takes too long', async () => {
    const outcome = await cluster.caisson(['run', '--timeout', '1s', '--', 'sleep', '100'])
    expect(outcome.code).toBe(124)
    expect(outcome.stderr).toMatch(/^caisson: run-\w+ did not end within 1s and was stopped\n$/)
  })

  test('ends with the shell’s code for a signal, and removes the sandbox', async () => {
    const child = spawn('bin/caisson', ['run', '--name', 'signalled', '--', 'sh', '-c', 'echo up; sleep 100'], {
      env: { ...process.env, ...cluster.env },
      stdio: ['ignore', 'pipe', 'inherit'],
    })
    await new Promise<void>((resolve) => createInterface(child.stdout).once('line', () => resolve()))
    child.kill('SIGINT')
    expect(await new Promise((resolve) => child.on('exit', resolve))).toBe(130)
    expect(await sandboxesNow()).not.toContain('signalled')
  })

  test.each<[string, string[], number, RegExp]>([
    [
      'an image that is not there',
      ['--image', 'nowhere:1', '--', 'true'],
      69,
      /^(?:caisson: pulling nowhere:1\n)?caisson: image "nowhere:1": registry-1.docker.io cannot be reached: .*'caisson image import FILE' .*\n$/,
    ],
    [
      'a command that is not there',
      ['--', '/no/such/command'],
      66,
      /^caisson: \/no\/such\/command is not in the image caisson.dev\/host, or .*\n$/,
    ],
    [
      'an unknown runtime class',
      ['--runtime-class', 'nothing', '--', 'true'],
      66,
      /^caisson: there is no RuntimeClass nothing: 'kubectl get runtimeclasses' lists those that there are\n$/,
    ],
    [
      'an image that is not to be pulled',
      ['--image', 'nosuch:1', '--pull', 'never', '--', 'true'],
      66,
      /^caisson: image nosuch:1 is not in the local store: 'caisson image pull nosuch:1' fetches it\n$/,
    ],
    [
      'virtual machines where there are none',
      ['--runtime-class', 'kata', '--', 'true'],
      69,
      /kata runs virtual machines, which this machine cannot: .*|containerd-shim-kata-v2 was not found/,
    ],
    ['a volume without a path', ['-v', 'here', '--', 'true'], 64, /^caisson: -v takes HOST:PATH .*"here"\n$/],
    [
      'a duration that is none',
      ['--timeout', 'soon', '--', 'true'],
      64,
      /^caisson: --timeout takes a duration .*"soon"\n$/,
    ],
    ['a user by name', ['--user', 'me', '--', 'true'], 64, /^caisson: --user takes a number.*"me"\n$/],
    [
      'options that contradict',
      ['--rm', '--keep', '--', 'true'],
      64,
      /^caisson: --rm and --keep contradict each other.*\n$/,
    ],
    [
      'a name that is none',
      ['--name', 'Not_A_Name', '--', 'true'],
      64,
      /^caisson: --name "Not_A_Name" is no name: use lower-case letters.*\n$/,
    ],
    [
      'what only the Pod is refused for',
      ['-e', 'näme=value', '--', 'true'],
      64,
      /^caisson: the sandbox cannot start: .*env\[0\]\.name: Invalid value: "näme"/,
    ],
    [
      'a directory that is not there',
      ['-v', '/nonexistent-dir:/a', '--', 'true'],
      64,
      /^caisson: -v: \/nonexistent-dir does not exist: make it first\n$/,
    ],
    ['an unknown option', ['--bogus', '--', 'true'], 64, /unknown option '--bogus'/],
  ])('says in a sentence what is wrong: %s', async (_name, args, code, message) => {
    const outcome = await cluster.caisson(['run', ...args])
    expect([outcome.code, outcome.stdout]).toEqual([code, ''])
    expect(outcome.stderr).toMatch(message)
    expect(await sandboxesNow()).toBe('')
  })

  test('runs images of the store', async () => {
    const outcome = await cluster.caisson(['run', '--image', 'busybox', '--', 'busybox', 'echo', 'from busybox'])
    expect(outcome).toEqual({ code: 0, stdout: 'from busybox\n', stderr: '' })
  })

  test('says that it runs the image’s own command where none is given', async () => {
    expect(await cluster.caisson(['run', '--image', 'busybox'])).toEqual({
      code: 0,
      stdout: '',
      stderr: 'caisson: no command given: running the one of busybox\n',
    })
  })

  test('loses no output of short commands, many at once on a busy machine', async () => {
    const outcomes = await Promise.all(
      Array.from({ length: 8 }, (_, index) => cluster.caisson(['run', '--', 'echo', `said ${index}`])),
    )
    expect(outcomes.map(({ code, stdout }) => [code, stdout])).toEqual(
      Array.from({ length: 8 }, (_, index) => [0, `said ${index}\n`]),
    )
  })

  test('keeps the sandbox with --keep', async () => {
    expect((await cluster.caisson(['run', '--keep', '--name', 'kept', '--', 'echo', 'said'])).stdout).toBe('said\n')
    expect(await cluster.mustCaisson(['logs', 'kept'])).toBe('said\n')
    expect(await cluster.mustCaisson(['rm', 'kept'])).toBe('kept\n')
  })
})

describe('a detached sandbox', () => {
  beforeAll(async () => {
    const script = 'echo one; echo two; while :; do sleep 1; done'
    expect(await cluster.mustCaisson(['run', '--detach', '--name', 'worker', '--', 'sh', '-c', script])).toBe(
      'worker\n',
    )
    await cluster.mustKubectl(['wait', '--for=condition=Ready', 'sandbox/worker', '--timeout=60s'])
  })

  test('is listed', async () => {
    const [header, row] = (await cluster.mustCaisson(['ls'])).split('\n')
    expect(header?.split(/\s+/)).toEqual(['NAME', 'READY', 'REASON', 'AGE'])
    expect(row?.split(/\s+/).slice(0, 3)).toEqual(['worker', 'True', 'DependenciesReady'])
    expect(await cluster.mustCaisson(['ls', '-o', 'name'])).toBe('sandbox/worker\n')
    const listed = JSON.parse(await cluster.mustCaisson(['ls', '-o', 'json'])) as { items: Array<{ metadata: object }> }
    expect(listed).toMatchObject({ apiVersion: 'v1', kind: 'List', items: [{ metadata: { name: 'worker' } }] })
    expect(Object.keys(listed.items[0]?.metadata ?? {})).not.toContain('managedFields')
    expect((await cluster.mustCaisson(['ls', '-o', 'wide'])).split('\n')[1]).toContain('caisson.dev/host')
    expect(await cluster.mustCaisson(['ls', '-o', 'yaml'])).toContain('name: worker')
  })

  test('has logs, whole, by number and followed', async () => {
    expect(await cluster.mustCaisson(['logs', 'worker'])).toBe('one\ntwo\n')
    expect(await cluster.mustCaisson(['logs', '--tail', '1', 'worker'])).toBe('two\n')
    expect(await cluster.mustCaisson(['logs', '--timestamps', '--tail', '1', 'worker'])).toMatch(
      /^\d{4}-\d\d-\d\dT[\d:.]+Z two\n$/,
    )
    const follow = spawn('bin/caisson', ['logs', '-f', 'worker'], {
      env: { ...process.env, ...cluster.env },
      stdio: ['ignore', 'pipe', 'inherit'],
    })
    const first = await new Promise((resolve) => createInterface(follow.stdout).once('line', resolve))
    follow.kill()
    expect(first).toBe('one')
  })

  test('is waited for by logs and exec where it has only just been made', async () => {
    const made = ['run', '--detach', '--name', 'just-made', '--', 'sh', '-c', 'echo begun; sleep 1000']
    await cluster.mustCaisson(made)
    expect(await cluster.mustCaisson(['exec', 'just-made', '--', 'echo', 'inside'])).toBe('inside\n')
    await cluster.mustCaisson(['rm', 'just-made'])
    await cluster.mustCaisson(made)
    await cluster.mustCaisson(['logs', 'just-made'])
    await expect.poll(() => cluster.mustCaisson(['logs', 'just-made'])).toBe('begun\n')
    await cluster.mustCaisson(['rm', 'just-made'])
    await cluster.mustCaisson(['run', '--detach', '--name', 'just-made', '--', '/no/such'])
    expect(await cluster.caisson(['exec', 'just-made', '--', 'true'])).toEqual({
      code: 66,
      stdout: '',
      stderr:
        'caisson: /no/such is not in the image caisson.dev/host, or its interpreter is not: name a command that is there, or another image\n',
    })
    await cluster.mustCaisson(['rm', 'just-made'])
  })

  test('runs further commands', async () => {
    const outcome = await cluster.caisson(['exec', '-i', 'worker', '--', 'sh', '-c', 'cat; echo err >&2; exit 5'], {
      input: 'given',
    })
    expect(outcome).toEqual({ code: 5, stdout: 'given', stderr: 'err\n' })
    expect((await cluster.caisson(['exec', 'worker', 'id', '-u'])).stdout).not.toBe('0\n')
    const spoken = 'executing processes for container: of the command itself'
    expect(await cluster.caisson(['exec', 'worker', '--', 'sh', '-c', `echo '${spoken}' >&2; exit 7`])).toEqual({
      code: 7,
      stdout: '',
      stderr: `${spoken}\n`,
    })
  })

  test('says once that a further command is not there', async () => {
    for (const command of ['/nope', 'nope'])
      expect(await cluster.caisson(['exec', 'worker', '--', command, 'argument'])).toEqual({
        code: 66,
        stdout: '',
        stderr: `caisson: ${command} is not in the image caisson.dev/host, or its interpreter is not: name a command that is there, or another image\n`,
      })
  })

  test('takes and gives files', async () => {
    const file = join(work, 'a file')
    writeFileSync(file, 'x'.repeat(100_000))
    await cluster.mustCaisson(['cp', file, 'worker:/tmp/there'])
    expect((await cluster.caisson(['exec', 'worker', '--', 'wc', '-c', '/tmp/there'])).stdout).toBe(
      '100000 /tmp/there\n',
    )
    await cluster.mustCaisson(['cp', 'worker:/tmp/there', join(work, 'back')])
    expect(readFileSync(join(work, 'back'), 'utf8')).toBe('x'.repeat(100_000))
    const missing = await cluster.caisson(['cp', 'worker:/tmp/nothing', join(work, 'nothing')])
    expect([missing.code, missing.stderr.trim().split('\n').at(-1)]).toEqual([
      66,
      "caisson: /tmp/nothing could not be read in the sandbox: see tar's message above",
    ])
  })

  test.each(['caisson.dev/host', 'busybox'])('takes files into directories that are there, of %s', async (image) => {
    const name = image === 'busybox' ? 'taker' : 'worker'
    if (name === 'taker') {
      await cluster.mustCaisson(['run', '--detach', '--name', name, '--image', image, '--', 'sleep', 'infinity'])
      await cluster.mustKubectl(['wait', '--for=condition=Ready', `sandbox/${name}`, '--timeout=60s'])
    }
    const file = join(work, 'into')
    writeFileSync(file, 'given\n')
    mkdirSync(join(work, 'tree/below'), { recursive: true })
    writeFileSync(join(work, 'tree/below/leaf'), 'leaf\n')
    await cluster.mustCaisson(['cp', file, `${name}:/tmp`])
    await cluster.mustCaisson(['cp', join(work, 'tree'), `${name}:/tmp`])
    await cluster.mustCaisson(['cp', join(work, 'tree'), `${name}:/tmp/other`])
    await cluster.mustCaisson(['cp', file, `${name}:/tmp/tree/`])
    await cluster.mustCaisson(['cp', file, `${name}:/tmp/renamed`])
    await cluster.mustCaisson(['cp', file, `${name}:/tmp/renamed`])
    const given = ['into', 'tree/below/leaf', 'other/below/leaf', 'tree/into', 'renamed'].map((path) => `/tmp/${path}`)
    expect(await cluster.mustCaisson(['exec', name, '--', 'cat', ...given])).toBe('given\nleaf\nleaf\ngiven\ngiven\n')
    if (name === 'taker') await cluster.mustCaisson(['rm', name])
  })

  test('copies what has any name, also to another file system', async () => {
    const names = ['f.tar.gz', '[a]', 'a b', 'x*y', 'a^b', 'c$d', 'e&f', 'g,h', 'i\\j', "k'l"]
    const elsewhere = mkdtempSync('/dev/shm/caisson-cli-')
    try {
      for (const name of names) {
        writeFileSync(join(work, name), name)
        await cluster.mustCaisson(['cp', join(work, name), `worker:/tmp/odd ${name}`])
        await cluster.mustCaisson(['cp', `worker:/tmp/odd ${name}`, elsewhere])
      }
      expect(
        Object.fromEntries(names.map((name) => [name, readFileSync(join(elsewhere, `odd ${name}`), 'utf8')])),
      ).toEqual(Object.fromEntries(names.map((name) => [name, name])))
      expect(readdirSync(elsewhere).sort()).toEqual(names.map((name) => `odd ${name}`).sort())
    } finally {
      rmSync(elsewhere, { recursive: true })
    }
  })

  test('cannot be made twice', async () => {
    const outcome = await cluster.caisson(['run', '--name', 'worker', '--', 'true'])
    expect(outcome).toEqual({
      code: 1,
      stdout: '',
      stderr: "caisson: there is a sandbox worker already: 'caisson rm worker' removes it\n",
    })
  })

  test('is removed', async () => {
    expect(await cluster.mustCaisson(['rm', 'worker'])).toBe('worker\n')
    expect(await sandboxesNow()).toBe('')
    const again = await cluster.caisson(['rm', 'worker'])
    expect(again).toEqual({
      code: 66,
      stdout: '',
      stderr: "caisson: no sandbox worker in namespace default: 'caisson ls' lists them\n",
    })
    for (const command of [
      ['logs', 'worker'],
      ['exec', 'worker', '--', 'true'],
    ])
      expect([(await cluster.caisson(command)).code, (await cluster.caisson(command)).stderr]).toEqual([
        66,
        again.stderr,
      ])
  })
})

describe('the cluster’s commands', () => {
  test('up says so where one runs', async () => {
    const before = JSON.parse(await cluster.mustCaisson(['status', '-o', 'json'])) as { pid: number; server: string }
    expect(await cluster.mustCaisson(['up', '--detach'])).toBe(
      `already running: ${before.server}, process ${before.pid}\n`,
    )
    expect(await cluster.caisson(['up', '--detach', '--listen', '127.0.0.1:1'])).toEqual({
      code: 1,
      stdout: '',
      stderr: `caisson: the cluster runs already, at ${before.server}, and --listen asks for 127.0.0.1:1: 'caisson down' stops it first\n`,
    })
    expect(JSON.parse(await cluster.mustCaisson(['status', '-o', 'json']))).toEqual({
      running: true,
      pid: before.pid,
      server: expect.stringMatching(/^https:\/\/127\.0\.0\.1:\d+$/),
      version: '0.1.0',
      dataDirectory: cluster.dataDirectory,
    })
  })

  test('kubeconfig prints a path that only its user can read', async () => {
    const path = (await cluster.mustCaisson(['kubeconfig'])).trim()
    expect([path, statSync(path).mode & 0o777]).toEqual([join(cluster.dataDirectory, 'kubeconfig'), 0o600])
    expect(statSync(cluster.dataDirectory).mode & 0o777).toBe(0o700)
  })

  test('image lists, names, removes and refuses', async () => {
    const archive = join(cluster.dataDirectory, 'busybox.tar')
    expect(await cluster.mustCaisson(['image', 'import', archive, '--name', 'other:2'])).toBe(
      'docker.io/library/other:2\n',
    )
    const names = (await cluster.mustCaisson(['image', 'ls', '-o', 'name'])).trim().split('\n').sort()
    expect(names).toEqual([
      'image/caisson.dev/host:latest',
      'image/docker.io/library/busybox:latest',
      'image/docker.io/library/other:2',
    ])
    await cluster.mustCaisson(['run', '--detach', '--name', 'user', '--image', 'other:2', '--', 'sleep', 'infinity'])
    await cluster.mustKubectl(['wait', '--for=condition=Ready', 'sandbox/user', '--timeout=60s'])
    const used = await cluster.caisson(['image', 'rm', 'other:2'])
    expect([used.code, used.stderr]).toEqual([
      1,
      'caisson: a container uses the image docker.io/library/other:2: remove the container first\n',
    ])
    await cluster.mustCaisson(['rm', 'user'])
    expect(await cluster.mustCaisson(['image', 'rm', 'other:2'])).toBe('other:2\n')
    expect((await cluster.caisson(['image', 'rm', 'other:2'])).code).toBe(66)
    expect(await cluster.caisson(['image', 'rm', 'caisson.dev/host'])).toEqual({
      code: 1,
      stdout: '',
      stderr: 'caisson: caisson.dev/host:latest is a view of this machine: it cannot be removed\n',
    })
    const piped = await run('bash', ['-c', 'bin/caisson image import - --name piped:1 <"$1"', 'bash', archive], {
      env: cluster.env,
    })
    expect(piped).toEqual({ code: 0, stdout: 'docker.io/library/piped:1\n', stderr: '' })
    await cluster.mustCaisson(['image', 'rm', 'piped:1'])
    expect(await cluster.caisson(['image', 'push', 'busybox', 'localhost:1/busybox'])).toEqual({
      code: 69,
      stdout: '',
      stderr: expect.stringMatching(/cannot be reached: .*: 'caisson image push NAME TO' gives it to another, and /),
    })
    expect(await cluster.caisson(['image', 'import', '/etc/hostname'])).toEqual({
      code: 1,
      stdout: '',
      stderr: expect.stringMatching(
        /^caisson: file "\/etc\/hostname": expected a tar archive of an image, found .*: name one as 'docker save' or an OCI tool writes it\n$/,
      ),
    })
    expect(await cluster.mustCaisson(['image', 'ls'])).toMatch(/^caisson\.dev\/host:latest +[0-9a-f]{12} +- +-$/m)
  })

  test('doctor finds this machine healthy', async () => {
    const report = JSON.parse(await cluster.mustCaisson(['doctor', '-o', 'json'])) as {
      healthy: boolean
      findings: Array<{ check: string; state: string }>
    }
    expect(report.healthy).toBe(true)
    expect(report.findings.map(({ check }) => check)).toEqual([
      'root',
      'runsc',
      'runc',
      'nft',
      'busybox',
      'kata',
      'forwarding',
      'strays',
      'cluster',
    ])
  })

  test('version and completion', async () => {
    expect(JSON.parse(await cluster.mustCaisson(['version', '-o', 'json']))).toEqual({
      caisson: '0.1.0',
      node: expect.any(String),
      kubernetes: 'v1.34',
    })
    const script = await cluster.mustCaisson(['completion', 'bash'])
    expect(await run('bash', ['-n'], { input: script })).toEqual({ code: 0, stdout: '', stderr: '' })
    const completed = await run('bash', [
      '-c',
      `${script}\nCOMP_WORDS=(caisson ver); COMP_CWORD=1; _caisson; echo "\${COMPREPLY[@]}"`,
    ])
    expect(completed.stdout).toBe('version\n')
    expect((await cluster.caisson(['completion', 'tcsh'])).code).toBe(64)
  })

  test('an unknown command is a usage error with a suggestion', async () => {
    const outcome = await cluster.caisson(['rnu'])
    expect([outcome.code, outcome.stdout]).toEqual([64, ''])
    expect(outcome.stderr).toContain('Did you mean run?')
  })
})

test('global options stand in front of a command or behind it, up to the command of a sandbox', async () => {
  const elsewhere = `caisson: the embedded cluster of ${join(work, 'elsewhere')} does not run: start it with 'caisson up --detach'\n`
  for (const args of [
    ['--data-dir', join(work, 'elsewhere'), 'ls'],
    ['ls', '--data-dir', join(work, 'elsewhere')],
    ['--data-dir', join(work, 'other'), 'exec', '--data-dir', join(work, 'elsewhere'), 'name', '--', 'true'],
  ])
    expect(await cluster.caisson(args)).toEqual({ code: 69, stdout: '', stderr: elsewhere })
  const none = "caisson: no sandbox nothing in namespace other: 'caisson ls' lists them\n"
  for (const args of [
    ['rm', 'nothing', '-n', 'other'],
    ['-n', 'default', 'logs', '--namespace', 'other', 'nothing'],
  ])
    expect(await cluster.caisson(args)).toEqual({ code: 66, stdout: '', stderr: none })
  expect(await cluster.mustCaisson(['image', '--data-dir', join(work, 'images'), 'ls', '-o', 'name'])).toBe(
    'image/caisson.dev/host:latest\n',
  )
  expect(await cluster.mustCaisson(['run', '--', 'echo', '-n', 'given', '--data-dir', 'x'])).toBe('given --data-dir x')
})

test('mistakes end with the code of their kind, and say the next step', async () => {
  const bad = join(work, 'bad.yaml')
  writeFileSync(bad, 'apiVersion: v1\nkind: ConfigMap\nmetadata: {name: unwanted}\n')
  const outcomes = [
    await cluster.caisson(['run', '-n', 'nosuchns', '--', 'true']),
    await cluster.caisson(['image', 'import', '/nope.tar']),
    await cluster.caisson(['apply', '-f', bad, '--wait', '--timeout', 'soon']),
    await cluster.caisson(['exec', 'name']),
    await cluster.caisson(['run', '--nam', 'name', '--', 'true']),
    await cluster.caisson(['ls', '-o', 'table']),
    await cluster.caisson(['frobnicate']),
    await cluster.caisson(['bogus']),
    await cluster.caisson(['image', 'import', work]),
    await cluster.caisson(['run', '--timeout', '0', '--', 'true']),
    await cluster.caisson(['logs', 'x'.repeat(300)]),
    await cluster.caisson(['ls', '--context', 'foo'], { env: { KUBECONFIG: '/nosuch' } }),
  ]
  expect(outcomes).toEqual([
    {
      code: 66,
      stdout: '',
      stderr: "caisson: there is no namespace nosuchns: 'kubectl create namespace nosuchns' makes it\n",
    },
    {
      code: 66,
      stdout: '',
      stderr: 'caisson: /nope.tar does not exist: name an archive as docker save or an OCI tool writes it\n',
    },
    { code: 64, stdout: '', stderr: expect.stringMatching(/^caisson: --timeout takes a duration .*"soon"\n$/) },
    { code: 64, stdout: '', stderr: "caisson: missing required argument 'command': see 'caisson exec --help'\n" },
    { code: 64, stdout: '', stderr: "caisson: unknown option '--nam': Did you mean --name?\n" },
    {
      code: 64,
      stdout: '',
      stderr:
        "caisson: option '-o, --output <format>' argument 'table' is invalid. Allowed choices are json, yaml, name, wide: see 'caisson ls --help'\n",
    },
    { code: 64, stdout: '', stderr: "caisson: unknown command 'frobnicate': see 'caisson --help'\n" },
    { code: 64, stdout: '', stderr: "caisson: unknown command 'bogus': see 'caisson --help'\n" },
    {
      code: 64,
      stdout: '',
      stderr: `caisson: ${work} is a directory: name an archive as docker save or an OCI tool writes it\n`,
    },
    {
      code: 64,
      stdout: '',
      stderr: 'caisson: --timeout takes a duration of more than 0: leave it out for no limit\n',
    },
    {
      code: 66,
      stdout: '',
      stderr: `caisson: no sandbox ${'x'.repeat(40)}… (300 characters) in namespace default: 'caisson ls' lists them\n`,
    },
    {
      code: 1,
      stdout: '',
      stderr: 'caisson: there is no kubeconfig: /nosuch does not exist; set KUBECONFIG\n',
    },
  ])
})

describe('a cluster that does not run', () => {
  test('is started by run, says so, keeps objects, and down leaves nothing of it', async () => {
    const directory = mkdtempSync(join(tmpdir(), 'caisson-own-'))
    const env = { ...cluster.env, CAISSON_DATA_DIR: directory, KUBECONFIG: '' }
    const caisson = (args: string[]): ReturnType<typeof run> => run('bin/caisson', args, { env })
    try {
      expect(await caisson(['status', '-o', 'json'])).toMatchObject({
        code: 1,
        stdout: `{"running":false,"dataDirectory":"${directory}"}\n`,
      })
      expect(await caisson(['ls'])).toEqual({
        code: 69,
        stdout: '',
        stderr: `caisson: the embedded cluster of ${directory} does not run: start it with 'caisson up --detach'\n`,
      })
      expect((await caisson(['kubeconfig'])).code).toBe(69)
      const first = await caisson(['run', '--', 'echo', 'hello'])
      expect(first).toEqual({
        code: 0,
        stdout: 'hello\n',
        stderr:
          'caisson: starting the embedded cluster (it ends by itself after 15m without work)\ncaisson: the embedded cluster runs\n',
      })
      expect((await caisson(['run', '--detach', '--name', 'stays', '--', 'sleep', 'infinity'])).code).toBe(0)
      expect(await caisson(['down'])).toEqual({ code: 0, stdout: 'stopped\n', stderr: '' })
      expect(leftovers(directory)).toEqual({ processes: [], mounts: [], namespaces: [], containers: [], groups: [] })
      expect(await caisson(['down'])).toEqual({ code: 0, stdout: 'not running\n', stderr: '' })
      expect((await caisson(['up', '--detach'])).code).toBe(0)
      expect((await caisson(['ls', '-o', 'name'])).stdout).toBe('sandbox/stays\n')
    } finally {
      await caisson(['down'])
      expect(readdirSync(directory)).toContain('objects')
      rmSync(directory, { recursive: true, force: true })
    }
  })

  test('is not left behind by a start that is interrupted', async () => {
    const directory = mkdtempSync(join(tmpdir(), 'caisson-interrupted-'))
    const env = { ...cluster.env, CAISSON_DATA_DIR: directory, KUBECONFIG: '' }
    const child = spawn('bin/caisson', ['up', '--detach'], { env: { ...process.env, ...env }, stdio: 'pipe' })
    const said = text(child.stderr)
    // It is there a moment before what is to write it starts.
    await expect.poll(() => existsSync(join(directory, 'caisson.log')), { interval: 5 }).toBe(true)
    child.kill('SIGINT')
    const [code] = await once(child, 'exit')
    expect([code, await said]).toEqual([130, 'caisson: interrupted: the cluster was not started\n'])
    expect(leftovers(directory)).toEqual({ processes: [], mounts: [], namespaces: [], containers: [], groups: [] })
    expect(await run('bin/caisson', ['down'], { env })).toEqual({ code: 0, stdout: 'not running\n', stderr: '' })
    rmSync(directory, { recursive: true })
  })

  test('up refuses an address that others could reach', async () => {
    const outcome = await cluster.caisson(['--data-dir', join(work, 'other'), 'up', '--listen', '0.0.0.0:6443'])
    expect([outcome.code, outcome.stdout]).toEqual([64, ''])
    expect(outcome.stderr).toMatch(/^caisson: --listen takes a loopback address .*\n$/)
  })
})
