import { expect, test } from 'vitest'
import { isOfThisMachine } from './options.ts'
import { commandsBelow, program } from './program.ts'

test('the help of what is about this machine alone names no other cluster', () => {
  const listing = commandsBelow(program()).filter((command) => command.helpInformation().includes('--context <name>'))
  expect(listing.length).toBeGreaterThan(10)
  expect(listing.filter(isOfThisMachine)).toEqual([])
})
