import { spawnSync } from 'node:child_process'
import { existsSync, mkdirSync, mkdtempSync, rmSync, symlinkSync } from 'node:fs'
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
