import { execFileSync } from 'node:child_process'
import { join } from 'node:path'
import { expect, test } from 'vitest'

const CAISSON = join(import.meta.dirname, '../../../../bin/caisson')
const script = execFileSync(CAISSON, ['completion', 'bash'], { encoding: 'utf8' })

/** What bash offers for the last of the words. */
function offered(...words: string[]): string[] {
  const ask = `${script}\nCOMP_WORDS=(caisson ${words.map((word) => `'${word}'`).join(' ')}); COMP_CWORD=${words.length}; _caisson; echo "\${COMPREPLY[@]}"`
  return execFileSync('bash', ['-c', ask], { encoding: 'utf8' }).trim().split(' ')
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
