/** `make demo` is what a newcomer runs first. */
import { mkdirSync, mkdtempSync, readdirSync, rmSync, symlinkSync } from 'node:fs'
import { homedir, tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { run } from './fixture.ts'
import { leftovers, processesOf } from './leftovers.ts'

test('the demo shows the kernel of a sandbox, leaves nothing but its tools, and a first run finds these', async () => {
  const scratch = mkdtempSync(join(tmpdir(), 'caisson-demo-test-'))
  const home = mkdtempSync(join(tmpdir(), 'caisson-demo-home-'))
  const state = join(home, '.local/state/caisson')
  const env = {
    TMPDIR: scratch,
    HOME: home,
    KUBECONFIG: '',
    CAISSON_TOOLS_DIR: '',
    CAISSON_DATA_DIR: '',
    XDG_STATE_HOME: '',
  }
  // As if they had been fetched before.
  mkdirSync(state, { recursive: true })
  symlinkSync(process.env['CAISSON_TOOLS_DIR'] ?? join(homedir(), '.cache', 'caisson', 'tools'), join(state, 'tools'))
  try {
    const demo = await run('make', ['demo'], { env })
    expect(demo.code, `${demo.stdout}\n${demo.stderr}`).toBe(0)
    expect(demo.stdout).toContain('Starting gVisor')
    expect(demo.stdout).toContain(join(state, 'tools/bin/runsc'))
    const directory = /caisson-demo-\w{6}/.exec(demo.stdout)?.[0]
    if (directory === undefined) throw new Error(`the demo does not say where its cluster is:\n${demo.stdout}`)
    // Its directory is gone: what else there could be of it is in the kernel.
    expect(leftovers(join(scratch, directory))).toEqual({
      processes: [],
      mounts: [],
      namespaces: [],
      containers: [],
      groups: [],
    })
    expect(processesOf(scratch)).toEqual([])
    expect(readdirSync(scratch)).toEqual([])
    const first = await run('bin/caisson', ['run', '--', 'echo', 'works'], { env })
    expect([first.code, first.stdout], first.stderr).toEqual([0, 'works\n'])
  } finally {
    await run('bin/caisson', ['down'], { env })
    rmSync(scratch, { recursive: true, force: true })
    rmSync(home, { recursive: true, force: true })
  }
}, 300_000)
