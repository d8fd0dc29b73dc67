/** The npm package as a user gets it: installed into an empty prefix, with an empty home directory and no checkout near. */
import { mkdirSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { homedir, tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { run } from './fixture.ts'

test('packs, installs without install scripts, and runs a sandbox', async () => {
  const work = mkdtempSync(join(tmpdir(), 'caisson-package-'))
  const home = join(work, 'home')
  mkdirSync(home)
  const env = {
    HOME: home,
    CAISSON_DATA_DIR: join(work, 'data'),
    CAISSON_TOOLS_DIR: process.env['CAISSON_TOOLS_DIR'] ?? join(homedir(), '.cache', 'caisson', 'tools'),
    KUBECONFIG: '',
    XDG_STATE_HOME: '',
  }
  const caisson = join(work, 'prefix/bin/caisson')
  try {
    const packed = await run(process.execPath, ['packages/cli/scripts/pack.ts'])
    expect(packed.stderr).toBe('')
    const file = packed.stdout.trim()
    const installed = await run(
      'npm',
      ['install', '-g', '--prefix', join(work, 'prefix'), '--ignore-scripts', '--loglevel=error', file],
      { cwd: work },
    )
    expect(installed.code, installed.stderr).toBe(0)
    const manifest = readFileSync(join(work, 'prefix/lib/node_modules/caisson/package.json'), 'utf8')
    expect(JSON.parse(manifest)).toMatchObject({ engines: { node: '>=20' } })
    const version = await run(caisson, ['version', '-o', 'json'], { env, cwd: work })
    expect(JSON.parse(version.stdout)).toMatchObject({ caisson: '0.1.0', kubernetes: 'v1.34' })
    const ran = await run(caisson, ['run', '--', 'sh', '-c', 'echo inside; exit 4'], { env, cwd: work })
    expect([ran.code, ran.stdout], ran.stderr).toEqual([4, 'inside\n'])
    // A cluster that `run` started waits for idleness; `down` does not.
    const down = await run(caisson, ['down'], { env, cwd: work })
    expect([down.code, down.stdout], down.stderr).toEqual([0, 'stopped\n'])
  } finally {
    await run(caisson, ['down'], { env, cwd: work }).catch(() => undefined)
    rmSync(work, { recursive: true, force: true })
  }
}, 300_000)
