/** What `completion.test.ts` says of bash, of the other two. */
import { execFileSync } from 'node:child_process'
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { delimiter, join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { type CompletingShell, completingShells } from '../testing/completing-shell.ts'

const CAISSON = join(import.meta.dirname, '../../../../bin/caisson')

let shells: Record<'zsh' | 'fish', CompletingShell>
let directory: string
let programs: string
beforeAll(async () => {
  shells = await completingShells()
  directory = mkdtempSync(join(tmpdir(), 'caisson-completion-'))
  programs = mkdtempSync(join(tmpdir(), 'caisson-completion-'))
  writeFileSync(join(directory, 'local'), '')
}, 300_000)
afterAll(() => {
  for (const each of [directory, programs]) rmSync(each, { recursive: true })
})

describe.each(['zsh', 'fish'] as const)('%s', (shell) => {
  const script = execFileSync(CAISSON, ['completion', shell], { encoding: 'utf8' })
  const offered = async (expected: Record<string, string[]>): Promise<Record<string, string[]>> => {
    const lines = Object.keys(expected)
    const env = { ...process.env, PATH: `${programs}${delimiter}${process.env['PATH']}` }
    const found = await shells[shell](lines, { script, directory, env })
    return Object.fromEntries(lines.map((line, index) => [line, found[index] ?? []]))
  }
  const offers = async (expected: Record<string, string[]>): Promise<void> =>
    expect(await offered(expected)).toEqual(expected)

  test('offers commands, options and values, wherever options with values stand', async () => {
    await offers({
      'caisson ver': ['version'],
      'caisson image ex': ['export'],
      'caisson up --': ['--data-dir', '--detach', '--fake-runtime', '--listen', '--namespace', '--no-flat-group'],
      'caisson image export --': ['--data-dir', '--file', '--namespace', '--output'],
      'caisson run --network ': ['isolated', 'none', 'open'],
      'caisson run --pull a': ['always'],
      'caisson ls -o ': ['json', 'name', 'wide', 'yaml'],
      'caisson image ls --output y': ['yaml'],
      'caisson -n ls ver': ['version'],
      'caisson --data-dir /x image --data-dir /y ex': ['export'],
      'caisson run --network none --pu': ['--publish', '--pull'],
    })
  })

  test('offers files alone where what follows is a sandbox’s own, or a value of which nothing is known', async () => {
    await offers({
      'caisson -n ': ['local'],
      'caisson run --name ': ['local'],
      'caisson run -- l': ['local'],
      'caisson run --network none web ': ['local'],
      'caisson exec web ': ['local'],
      'caisson rm -- ': ['local'],
      'caisson run python3 --n': [],
    })
  })

  test('offers sandboxes of the namespace and cluster that are meant, and no name that a shell would act on', async () => {
    const hostile = [`sandbox/$(touch ${directory}/done)`, `sandbox/\`touch ${directory}/done\``, 'sandbox/a b', 'web']
    const says = `echo sandbox/for:"$*" | tr -d ' ' | tr : .; printf '%s\\n' sandbox/web-1 ${hostile.map((name) => `'${name}'`).join(' ')}`
    writeFileSync(join(programs, 'caisson'), `#!/bin/sh\n${says}\n`, { mode: 0o755 })
    await offers({
      'caisson logs w': ['web-1'],
      'caisson -n team logs --context far f': ['for.-nteam--contextfarls-oname'],
    })
    expect(existsSync(join(directory, 'done'))).toBe(false)
  })
})
