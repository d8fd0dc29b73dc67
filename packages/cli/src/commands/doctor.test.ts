import { spawnSync } from 'node:child_process'
import { existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, onTestFinished, test } from 'vitest'

const CAISSON = join(import.meta.dirname, '../../../../bin/caisson')

test('says a next step for each tool that is missing', () => {
  const empty = mkdtempSync(join(tmpdir(), 'caisson-no-tools-'))
  onTestFinished(() => rmSync(empty, { recursive: true, force: true }))
  // For the launcher.
  symlinkSync('/usr/bin/uname', join(empty, 'uname'))
  const { stdout, status } = spawnSync(CAISSON, ['doctor', '--data-dir', join(empty, 'data'), '-o', 'json'], {
    env: { PATH: empty, CAISSON_TOOLS_DIR: join(empty, 'tools'), HOME: empty },
    encoding: 'utf8',
  })
  const { findings } = JSON.parse(stdout) as { findings: Array<{ check: string; message: string }> }
  // What lies in /usr/sbin is found all the same.
  const missing = findings.filter(({ message }) => message.includes('not there'))
  expect(missing.map(({ check }) => check)).toContain('runsc')
  expect(status).toBe(1)
  for (const { check, message } of missing)
    expect(message).toMatch(
      check === 'runc' || check === 'kata'
        ? /: (your distribution's package runc|Kata Containers) ha(s it|s them)/
        : /: 'caisson doctor --fix' fetches it$/,
    )
})

test('before a cluster starts, and of itself, says how to fetch gVisor to where it is looked for', () => {
  const empty = mkdtempSync(join(tmpdir(), 'caisson-no-tools-'))
  onTestFinished(() => rmSync(empty, { recursive: true, force: true }))
  symlinkSync('/usr/bin/uname', join(empty, 'uname'))
  const data = join(empty, 'data')
  const said = (...words: string[]): string => {
    const { stdout, stderr } = spawnSync(CAISSON, ['--data-dir', data, ...words], {
      env: { PATH: empty, HOME: empty },
      encoding: 'utf8',
    })
    return stdout + stderr
  }
  const fix = `'caisson --data-dir ${data} doctor --fix'`
  expect(said('run', '--', 'true')).toContain(`gVisor is not there, which sandboxes run in: ${fix} fetches it`)
  expect(said('doctor')).toContain(`gVisor is not there: ${fix} fetches it`)
})

test('takes no program for gVisor because of what it is called, and no firewall for open that it cannot look at', () => {
  const empty = mkdtempSync(join(tmpdir(), 'caisson-no-tools-'))
  onTestFinished(() => rmSync(empty, { recursive: true, force: true }))
  const tools = join(empty, 'tools')
  const temporary = join(empty, 'temporary')
  for (const path of [join(tools, 'bin'), temporary]) mkdirSync(path, { recursive: true })
  const script = (name: string, text: string): void =>
    writeFileSync(join(tools, 'bin', name), `#!/bin/sh\n${text}\n`, { mode: 0o755 })
  script('nft', '[ "$1" = --version ] && echo "nftables v1.0.6"')
  const findings = (): Record<string, { state: string; message: string }> => {
    const { stdout, status } = spawnSync(CAISSON, ['doctor', '--data-dir', join(empty, 'data'), '-o', 'json'], {
      env: { ...process.env, CAISSON_TOOLS_DIR: tools, TMPDIR: temporary },
      encoding: 'utf8',
    })
    expect(status).toBe(1)
    const found = (JSON.parse(stdout) as { findings: Array<{ check: string; state: string; message: string }> })
      .findings
    return Object.fromEntries(found.map(({ check, state, message }) => [check, { state, message }]))
  }
  const runsc = join(tools, 'bin/runsc')
  const next = `'rm ${runsc}' and 'caisson doctor --fix' replace one that is broken, and in a container it needs the rights of --privileged`
  script('runsc', 'echo runsc version release-20990101.0')
  expect(findings()).toMatchObject({
    runsc: {
      state: 'missing',
      message: `${runsc} runs no sandbox here: what runs in it says "runsc version release-20990101.0": ${next}`,
    },
    forwarding: {
      state: 'note',
      message:
        'not known: whether somebody else’s firewall rules keep Pods from each other and the world can be looked at with nft, as root',
    },
  })
  script('runsc', 'case "$*" in *version*) echo runsc version 1;; *) echo no kernel for it >&2; exit 128;; esac')
  expect(findings()).toMatchObject({
    runsc: { state: 'missing', message: `${runsc} runs no sandbox here: no kernel for it: ${next}` },
  })
  // A program of this machine's own kernel.
  script('runsc', 'case "$*" in *version*) echo runsc version 1;; *) echo "caisson-doctor $(uname -v)";; esac')
  expect(findings()).toMatchObject({
    runsc: {
      state: 'missing',
      message: `${runsc} runs no sandbox here: what runs in it sees the kernel of this machine: ${next}`,
    },
  })
  expect(readdirSync(temporary)).toEqual([])
}, 60_000)

test('run says that gVisor is missing before it starts a cluster', () => {
  const empty = mkdtempSync(join(tmpdir(), 'caisson-no-tools-'))
  onTestFinished(() => rmSync(empty, { recursive: true, force: true }))
  const data = join(empty, 'data')
  for (const name of ['uname', 'dirname', 'readlink'])
    if (existsSync(`/usr/bin/${name}`)) symlinkSync(`/usr/bin/${name}`, join(empty, name))
  const env = { PATH: empty, CAISSON_TOOLS_DIR: join(empty, 'tools'), HOME: empty }
  const { status, stdout, stderr } = spawnSync(CAISSON, ['run', '--data-dir', data, '--', 'true'], {
    env,
    encoding: 'utf8',
  })
  expect([status, stdout, stderr, existsSync(data)]).toEqual([
    69,
    '',
    "caisson: gVisor is not there, which sandboxes run in: 'caisson doctor --fix' fetches it, without touching the system\n",
    false,
  ])
})

test('tells of what a daemon that was killed has left, and what becomes of it', () => {
  const data = mkdtempSync(join(tmpdir(), 'caisson-doctor-'))
  onTestFinished(() => rmSync(data, { recursive: true, force: true }))
  const clusterMessage = (): string | undefined => {
    const { stdout } = spawnSync(CAISSON, ['doctor', '--data-dir', data, '-o', 'json'], { encoding: 'utf8' })
    const { findings } = JSON.parse(stdout) as { findings: Array<{ check: string; message: string }> }
    return findings.find(({ check }) => check === 'cluster')?.message
  }
  expect(clusterMessage()).toBe("does not run: 'caisson up --detach' starts it")
  for (const name of ['pod-main-0', '0011.blank'])
    mkdirSync(join(data, 'runtime/containers', name), { recursive: true })
  expect(clusterMessage()).toBe(
    "does not run: 'caisson up --detach' starts it; its process was killed under 2 containers, 1 of them made ahead and not used: 'caisson up' goes on with the rest, 'caisson down' removes all",
  )
})

test('says what keeps a cluster from starting with the data directory, and what to do', () => {
  const data = mkdtempSync(join(tmpdir(), 'caisson-doctor-'))
  onTestFinished(() => rmSync(data, { recursive: true, force: true }))
  const looked = (root: string): { state: string; message: string } | undefined => {
    const { stdout } = spawnSync(CAISSON, ['doctor', '--data-dir', root, '-o', 'json'], { encoding: 'utf8' })
    const { findings } = JSON.parse(stdout) as { findings: Array<{ check: string; state: string; message: string }> }
    const found = findings.find(({ check }) => check === 'data')
    return found && { state: found.state, message: found.message }
  }
  expect(looked(join(data, 'new'))).toEqual({
    state: 'ok',
    message: `the first start makes ${join(data, 'new')}`,
  })
  expect(readdirSync(data)).toEqual([])
  expect(looked(data)).toEqual({ state: 'ok', message: `${data} can be written to, and what is in it read` })
  writeFileSync(join(data, 'layout.json'), '')
  writeFileSync(join(data, 'images.yaml'), 'mirrors: [')
  writeFileSync(join(data, 'node.yaml'), 'hostPaths: /srv')
  mkdirSync(join(data, 'objects'))
  writeFileSync(join(data, 'objects/state.db'), 'nonsense'.repeat(100))
  const found = looked(data)
  expect(found?.state).toBe('missing')
  expect(found?.message.split('; ')).toEqual([
    expect.stringMatching(/layout.json cannot be read .*: restore it, or delete /),
    expect.stringMatching(/images.yaml, line 1, column 11: .*: correct it, or take it away$/),
    `${join(data, 'node.yaml')}: hostPaths is no list of absolute paths such as /srv/shared`,
    `${join(data, 'objects/state.db')} is damaged (file is not a database): put a copy from before in its place, or move ${join(data, 'objects')} away to begin without objects`,
  ])
}, 60_000)
