/** The npm package as a user gets it: installed into an empty prefix, with an empty home directory and no checkout near. */
import { once } from 'node:events'
import { mkdirSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import type { IncomingMessage } from 'node:http'
import { request } from 'node:https'
import { homedir, tmpdir } from 'node:os'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import { expect, test } from 'vitest'
import { run } from './fixture.ts'

/** What asks a cluster as its administrator, and gives what it is told. */
async function administratorOf(kubeconfig: string): Promise<(path: string, accept?: string) => Promise<string>> {
  const { clusters, users } = JSON.parse(readFileSync(kubeconfig, 'utf8')) as {
    clusters: [{ cluster: Record<string, string> }]
    users: [{ user: Record<string, string> }]
  }
  const [{ cluster }] = clusters
  const [{ user }] = users
  const data = (text = ''): Buffer => Buffer.from(text, 'base64')
  const secrets = {
    ca: data(cluster['certificate-authority-data']),
    cert: data(user['client-certificate-data']),
    key: data(user['client-key-data']),
  }
  return async (path, accept = '*/*') => {
    const asked = request(`${cluster['server']}${path}`, { ...secrets, headers: { accept } }).end()
    const [answer] = (await once(asked, 'response')) as [IncomingMessage]
    return await text(answer)
  }
}

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
    // What is loaded only once somebody asks for it.
    const get = await administratorOf(join(work, 'data/kubeconfig'))
    expect(await get('/metrics')).toMatch(/^process_cpu_seconds_total \d/m)
    expect(await get('/api/v1/namespaces/default', 'application/yaml')).toMatch(/^apiVersion: v1\nkind: Namespace\n/)
    // A cluster that `run` started waits for idleness; `down` does not.
    const down = await run(caisson, ['down'], { env, cwd: work })
    expect([down.code, down.stdout], down.stderr).toEqual([0, 'stopped\n'])
  } finally {
    await run(caisson, ['down'], { env, cwd: work }).catch(() => undefined)
    rmSync(work, { recursive: true, force: true })
  }
}, 300_000)
