import { spawnSync } from 'node:child_process'
import { mkdtempSync, rmSync, symlinkSync } from 'node:fs'
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
      check === 'runc' ? /: your distribution's package runc has it/ : /: 'caisson doctor --fix' fetches it$/,
    )
})
