import { spawnSync } from 'node:child_process'
import { getPriority } from 'node:os'
import { expect, test } from 'vitest'

const MODULE = JSON.stringify(new URL('./yield-processor.ts', import.meta.url))
const PROGRAM = `
  import { getPriority } from 'node:os'
  import { yieldProcessor } from ${MODULE}
  const seen = [getPriority()]
  const yielded = yieldProcessor(process.argv[1] === 'may')
  seen.push(getPriority())
  yielded[Symbol.dispose]()
  yielded[Symbol.dispose]()
  seen.push(getPriority())
  console.log(JSON.stringify(seen))
`

function priorities(may: string): unknown {
  const { stdout, stderr } = spawnSync(process.execPath, ['--input-type=module-typescript', '-e', PROGRAM, may], {
    encoding: 'utf8',
  })
  if (stderr !== '') throw new Error(stderr)
  return JSON.parse(stdout)
}

test.skipIf(process.getuid?.() !== 0)('steps back until it is disposed of', () => {
  const own = getPriority()
  expect(priorities('may')).toEqual([own, 10, own])
})

test('stays as it is without the right to return', () => {
  const own = getPriority()
  expect(priorities('may not')).toEqual([own, own, own])
})
