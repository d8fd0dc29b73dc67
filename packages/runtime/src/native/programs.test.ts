import { execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import {
  chmodSync,
  closeSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { afterEach, beforeEach, describe, expect, onTestFinished, test } from 'vitest'
import { killProcess, processStartTime } from '../monitor/process-identity.ts'
import type { Program } from './assembler.ts'
import { elfExecutable } from './elf.ts'
import { skipGracePeriodsProgram } from './grace-periods-program.ts'
import { hostArchitecture, installSystemCalls } from './native-programs.ts'
import { LAUNCHED, launchProgram, loopbackAddresses, netnsConnectProgram, pauseProgram } from './programs.ts'
import { bindMountsProgram, sendFilesProgram } from './restore-programs.ts'
import { OVERLAY_REFUSED, overRootfsArguments, overRootfsProgram } from './rootfs-program.ts'
import { type ShownDirectory, showProgram, strangerOf } from './show-program.ts'

let directory: string
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'caisson-native-'))
})
afterEach(() => rmSync(directory, { recursive: true, force: true }))

function build(program: Program): string {
  const path = join(directory, 'program')
  writeFileSync(path, elfExecutable(program, hostArchitecture()), { mode: 0o755 })
  return path
}

const hex = (bytes: Uint8Array): string =>
  Buffer.from(bytes)
    .toString('hex')
    .replace(/(.{64})/g, '$1\n')

describe('machine code', () => {
  // Both were checked once against a disassembler and run, on a processor and on an emulated one.
  const everyInstruction: Program = {
    code: [
      { op: 'stack', to: 'a' },
      { op: 'label', name: 'top' },
      { op: 'set', to: 'b', value: 0x12345678 },
      { op: 'set', to: 'c', value: -4 },
      { op: 'set', to: 'd', value: { address: 'text', offset: 1 } },
      { op: 'set', to: 'e', value: { address: 'room' } },
      { op: 'add', to: 'b', value: 'c' },
      { op: 'add', to: 'c', value: 16 },
      { op: 'subtract', to: 'd', value: 'e' },
      { op: 'load', to: 'a', base: 'c', offset: 8, bits: 64 },
      { op: 'load', to: 'a', base: 'c', offset: 8, bits: 32 },
      { op: 'store', from: 'e', base: 'c', offset: 8, bits: 64 },
      { op: 'store', from: 'e', base: 'c', offset: 8, bits: 32 },
      { op: 'jump', to: 'top', when: 'always' },
      { op: 'jump', to: 'top', variable: 'd', when: 'zero' },
      { op: 'jump', to: 'end', variable: 'd', when: 'negative' },
      { op: 'jump', to: 'end', variable: 'e', when: { equals: -4 } },
      { op: 'label', name: 'end' },
      { op: 'syscall', name: 'exit_group', args: ['a'], result: 'b' },
      { op: 'call', record: 'c', result: 'd' },
    ],
    data: { text: Uint8Array.of(1, 2) },
    memory: { room: 8 },
  }

  test('of amd64', () => {
    expect(hex(elfExecutable(everyInstruction, 'amd64').subarray(176))).toMatchInlineSnapshot(`
      "4889e348c7c57856341249c7c4fcffffff49c7c5a101400049c7c6000080004c
      01e54981c4100000004d29f5498b9c240800000049639c24080000004d89b424
      080000004589b42408000000e9b2ffffff4d85ed0f84a9ffffff4d85ed0f880d
      0000004981fefcffffff0f84000000004889df48c7c0e70000000f054889c549
      8bbc2408000000488bbf00000000498bb42410000000488bb600000000498b94
      2418000000488b92000000004d8b9424200000004d8b92000000004d8b842428
      0000004d8b80000000004d8b8c24300000004d8b8900000000498b8424000000
      000f054989c5000000000000000000000102"
    `)
  })

  test('of arm64', () => {
    expect(hex(elfExecutable(everyInstruction, 'arm64').subarray(176))).toMatchInlineSnapshot(`
      "f303009114cf8ad29446a2f275008092362a80d21608a0f2170080d21710a0f2
      9402158bb5420091d60217cbb30640f9b30a80b9b70600f9b70a00b9f2ffff17
      36feffb47600f8b7ff1200b120000054e00313aac80b80d20800a0f2010000d4
      f40300aaa00640f9000040f9a10a40f9210040f9a20e40f9420040f9a31240f9
      630040f9a41640f9840040f9a51a40f9a50040f9a80240f9010000d4f60300aa
      0102"
    `)
  })

  test.each(['amd64', 'arm64'] as const)(
    'an ELF file of %s has code that cannot be written and memory that cannot be executed',
    (architecture) => {
      const file = Buffer.from(elfExecutable(everyInstruction, architecture))
      const segments = [0, 1].map((index) => ({
        type: file.readUInt32LE(64 + index * 56),
        flags: file.readUInt32LE(68 + index * 56),
      }))
      expect([file.toString('latin1', 1, 4), file.readUInt16LE(18), segments]).toEqual([
        'ELF',
        architecture === 'amd64' ? 62 : 183,
        [
          { type: 1, flags: 5 },
          { type: 1, flags: 6 },
        ],
      ])
    },
  )

  test('a jump to nowhere is an error', () => {
    expect(() => elfExecutable({ code: [{ op: 'jump', to: 'x', when: 'always' }] }, 'amd64')).toThrow('unknown label x')
  })
})

describe('launch', () => {
  function launch(
    command: string[],
    options = {
      coverNetworkSysctls: false,
      privateNetwork: false,
      shown: [] as ShownDirectory[],
      diesWithParent: false,
    },
  ): { output: string; records: number[][] } {
    const records = openSync(join(directory, 'records'), 'w')
    const nothing = openSync('/dev/null', 'w')
    const group = openSync(join(directory, 'cgroup.procs'), 'w')
    const output = execFileSync(build(launchProgram(options)), command, {
      stdio: ['ignore', 'pipe', 'inherit', records, 'ignore', 'ignore', 'ignore', group, nothing, nothing, nothing],
      env: { FROM: 'outside' },
    })
    closeSync(records)
    closeSync(group)
    closeSync(nothing)
    const bytes = readFileSync(join(directory, 'records'))
    return {
      output: output.toString(),
      records: Array.from({ length: bytes.length / 8 }, (_, index) => [
        bytes.readInt32LE(index * 8),
        bytes.readInt32LE(index * 8 + 4),
      ]),
    }
  }

  test('records how the command ended, and what it left behind', () => {
    const { output, records } = launch([
      '/bin/sh',
      '-c',
      'echo "$FROM $0 $1"; (sleep 0.05; exit 3) & exit 5',
      'zero',
      'one',
    ])
    expect(output).toBe('outside zero one\n')
    const [[command] = []] = records
    expect(records.slice(0, 2)).toEqual([
      [command, LAUNCHED],
      [command, 5 << 8],
    ])
    expect(records.slice(2)).toContainEqual([expect.any(Number), 3 << 8])
  })

  test('records a signal', () => {
    expect(launch(['/bin/sh', '-c', 'kill -9 $$']).records[1]?.[1]).toBe(9)
  })

  test('the command joins its control groups before all else', () => {
    launch(['/bin/true'])
    expect(readFileSync(join(directory, 'cgroup.procs'), 'utf8')).toBe('0')
  })

  test('records a command that is not there', () => {
    expect(launch(['/no/such/command']).records[1]?.[1]).toBe(127 << 8)
  })

  test('passes none of its own descriptors on', () => {
    expect(launch(['/bin/ls', '/proc/self/fd']).output).toBe('0\n1\n2\n3\n')
  })
})

test.each([
  ['goes on without', false, 'alive'],
  ['ends with', true, 'gone'],
] as const)('a command %s who started it where it is to', async (_what, diesWithParent, expected) => {
  const path = build(launchProgram({ coverNetworkSysctls: false, shown: [], privateNetwork: false, diesWithParent }))
  const records = join(directory, 'records')
  const starter = `"$0" /bin/sleep 1000 3>"$1" 4>/dev/null 7>/dev/null 8>/dev/null 9>/dev/null 10>/dev/null & wait`
  const shell = spawn('bash', ['-c', starter, path, records], { stdio: 'ignore' })
  const read = (): Buffer => (existsSync(records) ? readFileSync(records) : Buffer.alloc(0))
  while (read().length < 8) await delay(5)
  const pid = read().readInt32LE(0)
  onTestFinished(() => killProcess(pid, processStartTime(pid) ?? '', 'SIGKILL'))
  while (!readFileSync(`/proc/${pid}/cmdline`, 'utf8').startsWith('/bin/sleep')) await delay(5)
  const reaper = Number(readFileSync(`/proc/${pid}/stat`, 'utf8').split(' ')[3])
  shell.kill('SIGKILL')
  await once(shell, 'exit')
  const states = (): string[] => [reaper, pid].map((id) => (processStartTime(id) === undefined ? 'gone' : 'alive'))
  await expect.poll(states).toEqual([expected, expected])
})

test('pause does nothing until it is killed', async () => {
  const child = spawn(build(pauseProgram()))
  await once(child, 'spawn')
  child.kill('SIGKILL')
  expect(await once(child, 'exit')).toEqual([null, 'SIGKILL'])
})

describe('netns-connect', () => {
  async function connectTo(port: number, input: string): Promise<[string, number | null]> {
    const namespace = openSync('/proc/self/ns/net', 'r')
    const child = spawn(build(netnsConnectProgram()), { stdio: ['pipe', 'pipe', 'ignore', namespace] })
    closeSync(namespace)
    let output = ''
    child.stdout?.on('data', (chunk: Buffer) => {
      output += chunk.toString('latin1')
    })
    child.stdin?.on('error', () => {})
    child.stdin?.write(loopbackAddresses(port))
    child.stdin?.end(input)
    const [code] = (await once(child, 'close')) as [number | null]
    return [output, code]
  }

  test.runIf(process.getuid?.() === 0).each(['127.0.0.1', '::1'])(
    'carries bytes both ways to %s, each end closing on its own',
    async (host) => {
      const server = createServer({ allowHalfOpen: true }, (socket) => {
        let heard = ''
        socket.on('data', (chunk) => {
          heard += String(chunk)
        })
        socket.on('end', () => socket.end(`heard ${heard}`))
      })
      server.listen(0, host)
      await once(server, 'listening')
      const address = server.address()
      expect(await connectTo(typeof address === 'object' && address ? address.port : 0, 'hello')).toEqual([
        '\x02heard hello',
        0,
      ])
      server.close()
    },
  )

  test('ends with 1 where nobody listens', async () => {
    expect(await connectTo(1, '')).toEqual(['', 1])
  })
})

describe('bind-mounts', () => {
  /** In a mount namespace of its own: what it mounts goes with it. */
  const bindMounts = (args: string[], command: string): string =>
    execFileSync('unshare', ['--mount', 'sh', '-c', `"$0" "$@" && ${command}`, build(bindMountsProgram()), ...args], {
      encoding: 'utf8',
    })

  test('binds one path over another, for each pair', () => {
    const paths = ['one', 'two', 'place', 'other place'].map((name) => join(directory, name))
    for (const path of paths) writeFileSync(path, `${path.slice(directory.length + 1)}\n`)
    const [one = '', two = '', place = '', other = ''] = paths
    expect(bindMounts([one, place, two, other], `cat '${place}' '${other}'`)).toBe('one\ntwo\n')
    expect(bindMounts([], `cat '${place}'`)).toBe('place\n')
    expect(readFileSync(place, 'utf8')).toBe('place\n')
  })

  test.each([
    ['what is not there', ['/nowhere', '/nowhere']],
    ['a path without its place', ['/etc']],
  ])('ends with 1 for %s', (_what, args) => {
    expect(() => bindMounts(args, 'exit 3')).toThrow(expect.objectContaining({ status: 1 }))
  })
})

test('send-files sends the beginning of a message, with open files', () => {
  for (const name of ['one', 'two', 'three']) writeFileSync(join(directory, name), name)
  const receiver = `
import fcntl, os, socket, subprocess, sys
program, *paths = sys.argv[1:]
for count in (1, 3):
    here, there = socket.socketpair()
    files = [open(path) for path in paths[:count]]
    # Above those that they become.
    fds = [fcntl.fcntl(each, fcntl.F_DUPFD, 20) for each in (there, *files)]
    place = lambda: [os.dup2(fd, 3 + index) for index, fd in enumerate(fds)]
    inherited = range(3, 3 + len(fds))
    subprocess.run([program, *paths[:count]], preexec_fn=place, pass_fds=inherited, check=True)
    message, received, flags, address = socket.recv_fds(here, 100, 4)
    print(message.decode(), *(os.read(fd, 10).decode() for fd in received))
`
  const files = ['one', 'two', 'three'].map((name) => join(directory, name))
  const args = ['-c', receiver, build(sendFilesProgram()), ...files]
  expect(execFileSync('python3', args, { encoding: 'utf8' })).toBe('{ one\n{ one two three\n')
})

describe('over-rootfs', () => {
  function over(layers: string[], command: string[]): string {
    const target = join(directory, 'target')
    const binds = [{ source: join(directory, 'shown'), target: join(target, 'etc') }]
    const args = ['--mount', build(overRootfsProgram()), ...overRootfsArguments({ layers, target, binds }), ...command]
    return execFileSync('unshare', args, { encoding: 'utf8', env: { FROM: 'outside', PATH: process.env['PATH'] } })
  }
  const layers = (): string[] => ['one, above: all', 'other'].map((name) => join(directory, name))
  beforeEach(() => {
    for (const name of ['target', 'shown', 'one, above: all', 'one, above: all/etc', 'other', 'other/place'])
      mkdirSync(join(directory, name))
    writeFileSync(join(directory, 'one, above: all/both'), 'above')
    writeFileSync(join(directory, 'other/both'), 'below')
    writeFileSync(join(directory, 'shown/file'), 'shown')
  })

  test('shows its command all layers and what is bound into them, and lets nobody write', () => {
    const script = 'cd "$1"; ls; cat both etc/file; echo " $FROM $2"; (: > place/new) 2> /dev/null || echo read-only'
    expect(over(layers(), ['/bin/sh', '-c', script, 'sh', join(directory, 'target'), 'a b'])).toBe(
      'both\netc\nplace\naboveshown outside a b\nread-only\n',
    )
    expect(readdirSync(join(directory, 'target'))).toEqual([])
  })

  test('says so where there is nothing to lay over another', () => {
    const missing = [join(directory, 'gone'), join(directory, 'other')]
    expect(() => over(missing, ['/bin/true'])).toThrow(expect.objectContaining({ status: OVERLAY_REFUSED }))
  })
})

describe.runIf(process.getuid?.() === 0)('what is shown of a directory', () => {
  const stranger = strangerOf({ uid: '0 0 4294967295\n', gid: '0 0 4294967295\n' })
  const source = (): string => join(directory, 'sou,rce')
  const target = (): string => join(directory, 'target')
  function show(shown: ShownDirectory[], script: string): string {
    const program = build(showProgram(shown))
    return execFileSync(
      'unshare',
      ['--mount', 'sh', '-c', `"$0" && cd "$1" && { ${script}; } 2>&1`, program, target()],
      {
        encoding: 'utf8',
      },
    )
  }
  beforeEach(() => {
    // A stranger comes to it.
    chmodSync(directory, 0o755)
    for (const path of [source(), target(), join(source(), 'within'), join(directory, 'empty')]) mkdirSync(path)
    writeFileSync(join(source(), 'open'), 'open', { mode: 0o644 })
    writeFileSync(join(source(), 'closed'), 'closed', { mode: 0o600 })
    writeFileSync(join(source(), 'within/file'), 'within', { mode: 0o644 })
  })

  test('is what a stranger may read, and nobody writes to it', () => {
    const shown = [{ source: source(), target: target(), as: stranger }]
    const output = show(shown, 'cat open; cat closed || echo; (: > open) || ls')
    expect(output).toMatch(/^opencat: closed: Permission denied\n\n.*: Read-only file system\nclosed\nopen\nwithin\n$/)
    expect(readdirSync(target())).toEqual([])
  })

  test('is all of it, read-only, where there is no stranger', () => {
    expect(show([{ source: source(), target: target() }], 'cat closed; (: > open) || ls')).toMatch(
      /^closed.*: Read-only file system\nclosed\nopen\nwithin\n$/,
    )
  })

  test('has others in it, and what is lacking there is lacking', () => {
    const shown = [
      { source: source(), target: target(), as: stranger },
      ...['within', 'lacking', 'lacking too'].map((name) => ({
        source: join(directory, 'empty'),
        target: join(target(), name),
        as: name === 'lacking too' ? stranger : undefined,
        mayLack: true,
      })),
    ]
    expect(show(shown, 'ls within; cat open')).toBe('open')
  })

  test.each([
    ['a stranger', stranger],
    ['nobody', undefined],
  ])('is a failure where it is not there for %s', (_who, as) => {
    const shown = [{ source: join(directory, 'gone'), target: target(), as }]
    expect(() => show(shown, 'true')).toThrow(expect.objectContaining({ status: 1 }))
  })

  test('a stranger has the last id, and there is none where root is the only user', () => {
    expect(stranger).toEqual({ uid: 4_294_967_294, gid: 4_294_967_294 })
    const all = '         0       1000          1\n         1     100000      65536\n'
    expect(strangerOf({ uid: all, gid: all })).toEqual({ uid: 65_536, gid: 65_536 })
    expect(strangerOf({ uid: all, gid: '0 1000 1\n' })).toBeUndefined()
  })
})

describe('skip-grace-periods', () => {
  const skip = (command: string[]): string =>
    execFileSync(build(skipGracePeriodsProgram(hostArchitecture())), command, {
      encoding: 'utf8',
      env: { FROM: 'outside' },
    })

  test('becomes its command', () => {
    expect(skip(['/bin/sh', '-c', 'echo "$FROM $0 $1"', 'zero', 'one'])).toBe('outside zero one\n')
    expect(() => skip(['/no/such/command'])).toThrow(expect.objectContaining({ status: 127 }))
  })

  test('leaves room for many descriptors', () => {
    expect(skip(['/bin/grep', 'FDSize', '/proc/self/status'])).toBe('FDSize:\t512\n')
  })

  test.runIf(process.getuid?.() === 0)('makes no registration for memory barriers, and leaves the rest alone', () => {
    const number = { amd64: 324, arm64: 283 }[hostArchitecture()]
    const ask = `
import ctypes
libc = ctypes.CDLL(None, use_errno=True)
def membarrier(command):
    ctypes.set_errno(0)
    return libc.syscall(${number}, command, 0, 0) >= 0, ctypes.get_errno()
print(membarrier(0), membarrier(8), membarrier(16), membarrier(8), membarrier(4), membarrier(2))
`
    expect(skip(['/usr/bin/env', 'python3', '-c', ask])).toBe(
      '(True, 0) (False, 1) (True, 0) (False, 1) (True, 0) (True, 0)\n',
    )
  })
})

test('a program is installed by all who find at the same time that it is not there', async () => {
  const paths = await Promise.all(Array.from({ length: 20 }, () => installSystemCalls(join(directory, 'programs'))))
  expect(readdirSync(join(directory, 'programs'))).toEqual(['system-calls'])
  for (const path of new Set(paths)) execFileSync(path, { input: '' })
})
