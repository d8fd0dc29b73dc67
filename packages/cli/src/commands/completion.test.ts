import { execFileSync } from 'node:child_process'
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { delimiter, join } from 'node:path'
import { expect, onTestFinished, test } from 'vitest'

const CAISSON = join(import.meta.dirname, '../../../../bin/caisson')
const script = execFileSync(CAISSON, ['completion', 'bash'], { encoding: 'utf8' })

/** What bash offers for the last of the words. */
function offered(...words: string[]): string[] {
  return offeredWith({}, ...words)
}

function offeredWith(env: Record<string, string>, ...words: string[]): string[] {
  const ask = `${script}\nCOMP_WORDS=(caisson ${words.map((word) => `'${word}'`).join(' ')}); COMP_CWORD=${words.length}; _caisson; echo "\${COMPREPLY[@]}"`
  return execFileSync('bash', ['-c', ask], { encoding: 'utf8', env: { ...process.env, ...env } })
    .trim()
    .split(' ')
}

test('commands, and the commands below them', () => {
  expect(offered('ver')).toEqual(['version'])
  expect(offered('image', 'ex')).toEqual(['export'])
})

test('the options of a command and of the command below it', () => {
  expect(offered('up', '--')).toEqual([
    '--detach',
    '--listen',
    '--fake-runtime',
    '--no-flat-group',
    '--data-dir',
    '--namespace',
  ])
  expect(offered('image', 'export', '--')).toEqual(['--file', '--output', '--data-dir', '--namespace'])
})

test.each([
  [
    ['run', '--network', ''],
    ['isolated', 'open', 'none'],
  ],
  [['run', '--pull', 'a'], ['always']],
  [
    ['ls', '-o', ''],
    ['json', 'yaml', 'name', 'wide'],
  ],
  [['image', 'ls', '--output', 'y'], ['yaml']],
  // What is known of no value: no command and no option.
  [['-n', ''], ['']],
  [['run', '--name', ''], ['']],
  [['up', '--listen', '-'], ['']],
])('values: of %j', (words, values) => {
  expect(offered(...words)).toEqual(values)
})

test('what an operand may be, where that is known', () => {
  expect(offered('completion', '')).toEqual(expect.arrayContaining(['bash', 'zsh', 'fish']))
})

test.each([[['run', '--', 'l']], [['run', 'python3', '--n']], [['exec', 'web', '']], [['rm', '--', '']]])(
  'nothing of ours where what follows is a sandbox’s own: %j',
  (words) => {
    expect(offered(...words)).toEqual([''])
  },
)

test('sandboxes of the namespace and cluster that are meant, and no name that a shell would act on', () => {
  const directory = mkdtempSync(join(tmpdir(), 'caisson-completion-'))
  onTestFinished(() => rmSync(directory, { recursive: true }))
  const hostile = [`sandbox/$(touch ${directory}/done)`, `sandbox/\`touch ${directory}/done\``, 'sandbox/a b', 'web']
  const says = `echo sandbox/for:"$*" | tr -d ' ' | tr : .; printf '%s\\n' sandbox/web-1 ${hostile.map((name) => `'${name}'`).join(' ')}`
  writeFileSync(join(directory, 'caisson'), `#!/bin/sh\n${says}\n`, { mode: 0o755 })
  const env = { PATH: `${directory}${delimiter}${process.env['PATH']}` }
  expect(offeredWith(env, 'logs', 'w')).toEqual(['web-1'])
  expect(offeredWith(env, '-n', 'team', 'logs', '--context', 'far', 'f')).toEqual(['for.-nteam--contextfarls-oname'])
  expect(existsSync(join(directory, 'done'))).toBe(false)
})

test('options with values in front of a command and in it', () => {
  expect(offered('-n', 'ls', 'ver')).toEqual(['version'])
  expect(offered('--data-dir', '/x', 'image', '--data-dir', '/y', 'ex')).toEqual(['export'])
  expect(offered('run', '--network', 'none', '--pu')).toEqual(['--pull', '--publish'])
})

test.each(['zsh', 'fish'])('nothing that is hidden, for %s neither', (shell) => {
  const text = execFileSync(CAISSON, ['completion', shell], { encoding: 'utf8' })
  expect(text).toContain('--fake-runtime')
  expect(text).not.toContain('stop-when-idle')
})

test('no variable to which zsh gives a meaning: without its path it would find no program to ask for names', () => {
  const text = execFileSync(CAISSON, ['completion', 'zsh'], { encoding: 'utf8' })
  expect(text).not.toMatch(/\b(path|status|argv)=/)
})
