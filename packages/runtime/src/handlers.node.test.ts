import { existsSync } from 'node:fs'
import { mkdir, mkdtemp, readdir, readFile, rm, stat, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { RuntimeHandler } from './runtime.ts'
import { busyboxArchive } from './testing/busybox-archive.ts'
import {
  containerSpec,
  createScratchRuntime,
  execText,
  logText,
  type ScratchRuntime,
  sandboxSpec,
} from './testing/scratch-runtime.ts'

let scratch: ScratchRuntime
let volume: string
beforeAll(async () => {
  scratch = await createScratchRuntime({ tools: ['runsc', 'runc', 'crun', 'containerd-shim-runc-v2', 'busybox'] })
  volume = await mkdtemp(join(tmpdir(), 'caisson-volume-'))
  const archive = join(volume, 'busybox.tar')
  await writeFile(archive, await busyboxArchive(scratch.toolsDirectory))
  await scratch.runtime.images.import(archive)
}, 120_000)
afterAll(async () => {
  await scratch[Symbol.asyncDispose]()
  await rm(volume, { recursive: true, force: true })
})

const log = async (id: string): Promise<string[]> =>
  logText(await readFile(join(scratch.stateDirectory, `${id}.log`), 'utf8'))

// crun refuses to run where controllers are split between cgroup v1 and v2.
const SPLIT_CGROUPS = existsSync('/sys/fs/cgroup/unified/cgroup.controllers')

describe.each<RuntimeHandler>(['runsc', 'runc', 'crun', 'runc-v2'])('%s', (handler) => {
  if (handler === 'crun' && SPLIT_CGROUPS) {
    test.skip('cannot run with controllers of both cgroup versions')
    return
  }

  const id = (name: string): string => `${handler}-${name}`

  async function run(name: string, changes: Partial<Parameters<typeof containerSpec>[2]>): Promise<string> {
    await scratch.runtime.createSandbox(sandboxSpec(id(name), { handler }))
    await scratch.runtime.startContainer(containerSpec(scratch, id(`${name}-1`), { ...changes, sandboxId: id(name) }))
    return id(`${name}-1`)
  }

  test.each(['caisson.dev/host', 'busybox'])('runs %s to its exit code', async (image) => {
    const container = await run(image.replace(/\W/g, ''), {
      image,
      args: ['/bin/sh', '-c', 'hostname; echo "$PATH" | grep -c bin; exit 4'],
    })
    expect((await scratch.exitOf(container)).state).toMatchObject({ exitCode: 4, reason: 'error' })
    expect(await log(container)).toEqual(['stdout F sandbox', 'stdout F 1'])
  })

  test('says where a command is not there', async () => {
    await expect(run('missing', { args: ['/no/such/command'] })).rejects.toMatchObject({ code: 'command-not-found' })
    await expect(run('missing2', { args: ['nosuchcommand'] })).rejects.toMatchObject({ code: 'command-not-found' })
  })

  test('a command that may make devices gets at none of this machine by them', async () => {
    const container = await run('devices', {
      image: 'busybox',
      capabilities: ['CAP_MKNOD'],
      // The first is one that every container has in /dev, so that only where it lies makes the difference.
      args: ['/bin/sh', '-c', 'mknod /null c 1 3; echo x > /null; mknod /dev/disk b 8 0; cat /dev/disk'],
    })
    expect((await scratch.exitOf(container)).state).toMatchObject({ exitCode: 1 })
    const said = await log(container)
    expect(said.filter((line) => line.startsWith('stdout'))).toEqual([])
    // busybox writes a message piece by piece, and each may be a part of a line of its own.
    const complaint = said.map((line) => line.replace(/^stderr [PF] /, '')).join('')
    if (handler === 'runc') expect(complaint).toContain("can't create /null: Permission denied")
  })

  test('exec with pipes and with a terminal, and attach', async () => {
    const container = await run('streams', {
      image: 'busybox',
      args: ['/bin/sh', '-c', 'read a; echo "got $a"; exit 6'],
      stdin: true,
      stdinOnce: true,
    })
    expect(await execText(scratch.runtime, container, ['/bin/sh', '-c', 'echo out; echo err >&2; exit 8'])).toEqual({
      stdout: 'out\n',
      stderr: 'err\n',
      exit: { exitCode: 8 },
    })
    await using terminal = await scratch.runtime.exec(container, {
      args: ['/bin/sh', '-c', 'stty size; exit 9'],
      env: {},
      tty: true,
      stdin: true,
      size: { columns: 101, rows: 33 },
    })
    expect([await text(terminal.stdout), await terminal.exit]).toEqual(['33 101\r\n', { exitCode: 9 }])
    await expect(execText(scratch.runtime, container, ['/no/such/command'])).rejects.toMatchObject({
      code: 'command-not-found',
    })
    await using streams = await scratch.runtime.attach(container)
    streams.stdin?.end('this\n')
    expect([await text(streams.stdout), await streams.exit]).toEqual(['got this\n', { exitCode: 6 }])
  })

  test('a terminal of its own', async () => {
    const container = await run('tty', {
      image: 'busybox',
      args: ['/bin/sh', '-c', 'read a; test -t 0 && echo terminal; exit 2'],
      stdin: true,
      tty: true,
    })
    await using streams = await scratch.runtime.attach(container)
    streams.stdin?.write('x\n')
    expect([await text(streams.stdout), await streams.exit]).toEqual(['x\r\nterminal\r\n', { exitCode: 2 }])
  })

  test('several containers share a sandbox, come and go', async () => {
    await scratch.runtime.createSandbox(sandboxSpec(id('shared'), { handler, shared: true }))
    const start = (name: string, args: string[]): Promise<unknown> =>
      scratch.runtime.startContainer(
        containerSpec(scratch, id(name), {
          sandboxId: id('shared'),
          image: 'busybox',
          args,
          stdin: true,
          tty: name === 'c',
        }),
      )
    await start('a', ['/bin/sh', '-c', 'echo to-share | nc -l -p 7777; exit 3'])
    await start('b', ['/bin/sh', '-c', 'until nc 127.0.0.1 7777; do sleep 0.1; done'])
    await start('c', ['/bin/sh', '-c', 'read x; test -t 0 && echo tty $x; exit 1'])
    expect((await scratch.exitOf(id('a'))).state).toMatchObject({ exitCode: 3, reason: 'error' })
    expect((await scratch.exitOf(id('b'))).state).toMatchObject({ exitCode: 0, reason: 'completed' })
    expect(await log(id('b'))).toEqual(['stdout F to-share'])
    const streams = await scratch.runtime.attach(id('c'))
    streams.stdin?.write('in\n')
    expect([await text(streams.stdout), await streams.exit]).toEqual(['in\r\ntty in\r\n', { exitCode: 1 }])
    await scratch.runtime.removeContainer(id('a'))
    await start('a', ['/bin/sleep', '1000'])
    await scratch.runtime.stopContainer(id('a'), { graceMs: 0 })
    expect((await scratch.exitOf(id('a'))).state).toMatchObject({ exitCode: 137 })
    expect((await scratch.runtime.get(id('shared')))?.alive).toBe(true)
  })

  test('kernel parameters that a sandbox asks for are in force for all of its containers', async () => {
    const sysctls = { 'net.ipv4.tcp_syncookies': '2', 'kernel.shm_rmid_forced': '1' }
    const spec = (name: string, shared: boolean) => sandboxSpec(id(name), { handler, shared, sysctls })
    if (handler === 'runsc') {
      await expect(scratch.runtime.createSandbox(spec('sysctls', false))).rejects.toThrow(
        'the kernel parameter "net.ipv4.tcp_syncookies" cannot be set in this sandbox of runsc',
      )
      return
    }
    const show = 'cat /proc/sys/net/ipv4/tcp_syncookies /proc/sys/kernel/shm_rmid_forced'
    for (const shared of [false, true]) {
      const name = shared ? 'sysctls-shared' : 'sysctls'
      await scratch.runtime.createSandbox(spec(name, shared))
      for (const number of [1, 2]) {
        const container = id(`${name}-${number}`)
        const args = ['/bin/sh', '-c', show]
        await scratch.runtime.startContainer(
          containerSpec(scratch, container, { sandboxId: id(name), image: 'busybox', args }),
        )
        await scratch.exitOf(container)
        expect(await log(container)).toEqual(['stdout F 2', 'stdout F 1'])
      }
    }
  })

  test('mounts: a volume is written through, a read-only one and a read-only root are not, tmpfs is', async () => {
    const source = join(volume, handler)
    await writeFile(`${source}-file`, 'from outside')
    await mkdir(source)
    await mkdir(`${source}-fixed`)
    await writeFile(`${source}-fixed/kept`, 'from outside')
    const container = await run('mounts', {
      image: 'busybox',
      readOnlyRootfs: true,
      mounts: [
        { kind: 'bind', source, destination: '/data', readOnly: false },
        { kind: 'bind', source: `${source}-file`, destination: '/etc/given', readOnly: true },
        { kind: 'bind', source: `${source}-fixed`, destination: '/fixed', readOnly: true },
        { kind: 'tmpfs', destination: '/scratch', readOnly: false, sizeBytes: 1024 * 1024 },
      ],
      args: [
        '/bin/sh',
        '-c',
        'echo $(cat /etc/given); echo x > /data/new; echo x > /etc/given; true > /fixed/kept; dd if=/dev/null of=/fixed/kept; rm -f /fixed/kept; touch /fixed/new; echo x > /root-file; echo x > /scratch/y && cat /scratch/y; dd if=/dev/zero of=/scratch/big bs=1M count=3 2>/dev/null || echo full',
      ],
    })
    await scratch.exitOf(container)
    expect((await log(container)).filter((line) => line.startsWith('stdout'))).toEqual([
      'stdout F from outside',
      'stdout F x',
      'stdout F full',
    ])
    expect(await readFile(join(source, 'new'), 'utf8')).toBe('x\n')
    expect(await readFile(`${source}-file`, 'utf8')).toBe('from outside')
    expect(await readdir(`${source}-fixed`)).toEqual(['kept'])
    expect(await readFile(`${source}-fixed/kept`, 'utf8')).toBe('from outside')
  })

  test('what one container writes to its root, the next does not see', async () => {
    const first = await run('write', {
      image: 'busybox',
      args: ['/bin/sh', '-c', 'echo mine > /bin/mine && cat /bin/mine'],
    })
    await scratch.exitOf(first)
    const second = await run('look', { image: 'busybox', args: ['/bin/sh', '-c', 'ls /bin/mine'] })
    expect((await scratch.exitOf(second)).state).toMatchObject({ exitCode: 1 })
    expect(await log(first)).toEqual(['stdout F mine'])
  })

  test('the host image shows nothing of the machine that is its own', async () => {
    const container = await run('secrets', {
      args: [
        '/bin/sh',
        '-c',
        'for f in /etc/shadow /etc/ssh /etc/ssl/private /etc/sudoers /etc/apt /etc/machine-id /root/.bashrc /root/.ssh /var/lib/dpkg /var/lib/apt /boot /proc/1/root/etc/shadow; do test -e $f && echo "$f is there"; done; ls -A /root /home/user /usr/local/etc /usr/src /var/log 2>/dev/null | grep -v ":" | grep . ; cat /etc/passwd | wc -l; echo end',
      ],
    })
    await scratch.exitOf(container)
    expect(await log(container)).toEqual(['stdout F 3', 'stdout F end'])
    await expect(stat('/etc/shadow')).resolves.toBeDefined()
  })
})

test('nobody looks for other runtimes when a sandbox is started', async () => {
  const toolsDirectory = await mkdtemp(join(volume, 'tools-'))
  const [programs, asked] = [join(toolsDirectory, 'bin'), join(toolsDirectory, 'asked')]
  await mkdir(programs)
  await symlink(join(scratch.toolsDirectory, 'bin/runsc'), join(programs, 'runsc'))
  await writeFile(join(programs, 'crun'), `#!/bin/sh\necho >> ${asked}\nexit 1\n`, { mode: 0o755 })
  await using own = await createScratchRuntime({ toolsDirectory })
  await own.runtime.createSandbox(sandboxSpec('one'))
  await own.runtime.startContainer(containerSpec(own, 'one-c', { sandboxId: 'one', args: ['/bin/true'] }))
  expect(existsSync(asked)).toBe(false)
  // Whoever wants to know which there are has it looked for.
  await own.runtime.handlers()
  expect(existsSync(asked)).toBe(true)
})
