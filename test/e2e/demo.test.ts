/** `make demo` is what a newcomer runs first. */
import { mkdtempSync, readdirSync, rmSync } from 'node:fs'
import { homedir, tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { run } from './fixture.ts'
import { leftovers, processesOf } from './leftovers.ts'

test('the demo shows the kernel of a sandbox, and leaves nothing on the machine', async () => {
  const scratch = mkdtempSync(join(tmpdir(), 'caisson-demo-test-'))
  try {
    const demo = await run('make', ['demo'], {
      env: {
        TMPDIR: scratch,
        KUBECONFIG: '',
        CAISSON_TOOLS_DIR: process.env['CAISSON_TOOLS_DIR'] ?? join(homedir(), '.cache', 'caisson', 'tools'),
      },
    })
    expect(demo.code, `${demo.stdout}\n${demo.stderr}`).toBe(0)
    expect(demo.stdout).toContain('Starting gVisor')
    const directory = /caisson-demo-\w{6}/.exec(demo.stdout)?.[0]
    if (directory === undefined) throw new Error(`the demo does not say where its cluster is:\n${demo.stdout}`)
    // Its directory is gone: what else there could be of it is in the kernel. Network namespaces are mounts.
    expect(leftovers(join(scratch, directory))).toMatchObject({ processes: [], mounts: [], groups: [] })
    expect(processesOf(scratch)).toEqual([])
    expect(readdirSync(scratch)).toEqual([])
  } finally {
    rmSync(scratch, { recursive: true, force: true })
  }
}, 300_000)
