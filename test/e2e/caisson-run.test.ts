/** `caisson run`, as a user types it. */
import { spawn } from 'node:child_process'
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { type Cluster, run, startCluster } from './fixture.ts'

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
