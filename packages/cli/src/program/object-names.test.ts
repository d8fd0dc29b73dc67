import { Command } from 'commander'
import { expect, test } from 'vitest'
import { requireNames } from './object-names.ts'

/** As it is when it was given these arguments. */
function parsed(parent: string, words: string[]): Command {
  const command = new Command('do').argument('<names...>').action(() => {})
  new Command(parent).addCommand(command)
  command.parse(words, { from: 'user' })
  return command
}

test.each(['', '.', '..', 'a/b', 'a%2fb'])('%j is no name that a request can have', (name) => {
  expect(() => requireNames(parsed('caisson', ['good', name]), {})).toThrow(
    expect.objectContaining({
      code: 'usage',
      message: `${JSON.stringify(name)} is no name: one has lower-case letters, digits, '-' and '.'`,
    }),
  )
})

test('what no sandbox is called is asked for, and images have names of their own', () => {
  requireNames(parsed('caisson', ['Bad_Name', 'x'.repeat(300)]), { namespace: 'team-1' })
  requireNames(parsed('image', ['registry/name:1']), {})
})

test.each(['', 'Bad_NS', 'a.b', 'x'.repeat(64)])('%j is no namespace', (namespace) => {
  expect(() => requireNames(parsed('caisson', ['good']), { namespace })).toThrow(
    expect.objectContaining({
      code: 'usage',
      message: `--namespace ${JSON.stringify(namespace)} is no name: use lower-case letters, digits and '-', a letter or digit first and last, at most 63 of them`,
    }),
  )
})
