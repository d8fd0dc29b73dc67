/** The README cannot lie: its commands are run as they are written there. */
import { mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { type Cluster, findKubectl, run, startCluster } from './fixture.ts'

const root = join(import.meta.dirname, '../..')
const kubectl = findKubectl()

/** The lines of the fenced block that holds `text`, without their comments. */
function block(text: string): string[] {
  const blocks = readFileSync(join(root, 'README.md'), 'utf8')
    .split('```')
    .filter((_, index) => index % 2 === 1)
  const found = blocks.find((one) => one.includes(text))
  if (!found) throw new Error(`README.md has no block with ${JSON.stringify(text)}`)
  return found
    .split('\n')
    .map((line) => line.replace(/\s{2,}#.*$/, '').trim())
    .filter(Boolean)
}

describe('the commands of the README', () => {
  let cluster: Cluster
  let work: string
  let env: Record<string, string>
  beforeAll(async () => {
    cluster = await startCluster({ busybox: true })
    work = mkdtempSync(join(tmpdir(), 'caisson-readme-'))
    mkdirSync(join(work, 'bin'))
    symlinkSync(join(root, 'bin/caisson'), join(work, 'bin/caisson'))
    symlinkSync(join(root, 'examples'), join(work, 'examples'))
    if (kubectl) symlinkSync(kubectl, join(work, 'bin/kubectl'))
    env = { ...cluster.env, PATH: `${join(work, 'bin')}:${process.env['PATH']}` }
  })
  afterAll(async () => {
    rmSync(work, { recursive: true, force: true })
    await cluster[Symbol.asyncDispose]()
  })

  test('one line makes a sandbox', async () => {
    const [line] = block('print(6*7)')
    const { stdout, stderr, code } = await run('bash', ['-c', line ?? ''], { env })
    expect([code, stdout], stderr).toEqual([0, '42\n'])
  })

  test('an image is made without the internet', async () => {
    const readme = readFileSync(join(root, 'README.md'), 'utf8')
    const [, line = ''] = /`(examples\/busybox-image\.sh [^`]+)`/.exec(readme) ?? []
    // Who reads from above has it before what needs it.
    expect(readme.indexOf(line)).toBeLessThan(readme.indexOf('kubectl apply -f examples/gvisor-sandbox.yaml'))
    const { stdout, stderr, code } = await run('bash', ['-c', line], { env, cwd: work })
    expect([code, stdout], stderr).toEqual([0, 'docker.io/library/busybox:latest\n'])
  })

  test('a warm pool answers a claim', async () => {
    const { stdout, stderr, code } = await run('bash', ['-c', ['set -e', ...block('caisson claim')].join('\n')], {
      env,
    })
    expect([code, stdout], stderr).toEqual([0, 'sandboxtemplate/python\nsandboxwarmpool/python\n42\n'])
  })

  test.runIf(kubectl)('a cluster on one machine, from up to down', async () => {
    const { KUBECONFIG: _, ...rest } = env
    const script = ['set -euo pipefail', ...block('caisson up --detach')].join('\n').replace(' | head -5', '')
    const { stdout, stderr, code } = await run('bash', ['-c', script], { env: rest })
    expect(code, stderr).toBe(0)
    expect(stdout).toContain('Starting gVisor...')
    expect(stdout).toContain('condition met')
    expect(stdout.trim().split('\n').at(-1)).toBe('stopped')
  })
})
