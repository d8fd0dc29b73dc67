import { Command } from 'commander'
import { expect, test } from 'vitest'
import { readOptionsBehindName } from './options-behind-name.ts'

type Read = { options: object; name: string; command: string[] }

function read(...words: string[]): Read {
  let read: Read | undefined
  const program = new Command('caisson').enablePositionalOptions().exitOverride()
  program.hook('preAction', (_program, command) => readOptionsBehindName(command))
  program
    .command('exec')
    .exitOverride()
    .configureOutput({ writeOut: () => undefined, writeErr: () => undefined })
    .passThroughOptions()
    .option('-t, --tty')
    .option('-e, --env <value>', '', (value, before: string[]) => [...before, value], [])
    .argument('<name>')
    .argument('<command...>')
    .action((name: string, command: string[], options: object) => {
      read = { options, name, command }
    })
  program.parse(['exec', ...words], { from: 'user' })
  return read as unknown as Read
}

test.each<[words: string[], options: object, command: string[]]>([
  [['box', 'ls', '-t'], { env: [] }, ['ls', '-t']],
  [['-t', 'box', 'ls'], { env: [], tty: true }, ['ls']],
  [['box', '-t', 'ls', '-e', 'x'], { env: [], tty: true }, ['ls', '-e', 'x']],
  [['-e', 'a', 'box', '-te', 'b', '--env=c', 'ls'], { env: ['a', 'b', 'c'], tty: true }, ['ls']],
  [['box', '-t', '--', '-t', '--'], { env: [], tty: true }, ['-t', '--']],
  [['box', '--', 'ls', '--', 'x'], { env: [] }, ['ls', '--', 'x']],
  [['box', '-'], { env: [] }, ['-']],
])('%j', (words, options, command) => {
  expect(read(...words)).toEqual({ options, name: 'box', command })
})

test.each([
  [['box', '--tyt', 'ls'], 'caisson exec has no option --tyt: a command that begins like one stands behind --'],
  [['box', '-tx', 'ls'], 'caisson exec has no option -x: a command that begins like one stands behind --'],
  [['box', '-t'], 'no command given: put one behind --'],
  [['box', '--'], 'no command given: put one behind --'],
  [['box', '-t', '-e'], "error: option '-e, --env <value>' argument missing"],
])('%j is an error', (words, message) => {
  expect(() => read(...words)).toThrow(message)
})

test('help may be asked for behind the name', () => {
  expect(() => read('box', '--help')).toThrow('(outputHelp)')
})
