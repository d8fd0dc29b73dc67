import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { beforeEach, expect, onTestFinished, test, vi } from 'vitest'
import { LOOKED_AT_ONCE, MOST_MARKS, requireOwnDescriptors } from './own-descriptors.ts'

let path: string
beforeEach(() => {
  const directory = mkdtempSync(join(tmpdir(), 'caisson-descriptors-'))
  onTestFinished(() => rmSync(directory, { recursive: true }))
  path = join(directory, 'checkpoint.img')
})

const NAMES = ['__no_name_0', 'web']
const FOREIGN = { code: 'snapshot-incompatible', message: expect.stringMatching(/^a process that was started by exec/) }

function text(bytes: string): Buffer {
  return Buffer.concat([Buffer.from([bytes.length, 0, 0, 0, bytes.length]), Buffer.from(bytes)])
}

/** A descriptor as gVisor writes it: nine bytes between the container's name and the lengths of what it is called. */
function descriptor(container: string, called = 'host:7'): Buffer {
  return Buffer.concat([text(container), Buffer.alloc(9, 1), text(called)])
}

test.each<[what: string, state: Buffer, isOwn: boolean]>([
  ['nothing', Buffer.alloc(0), true],
  ['one of a container that is kept', descriptor('web'), true],
  ['one of another', descriptor('other'), false],
  ['one of none', descriptor(''), false],
  ['one whose name only ends like one that is kept', descriptor('my-web'), false],
  ['one with the longest number', descriptor('', 'host:12345678901'), false],
  ['two, of which the second is of none', Buffer.concat([descriptor('web'), descriptor('')]), false],
  ['a name of a file', descriptor('', 'localhost:80'), true],
  ['a name that goes on', descriptor('', 'host:80/'), true],
  ['a name too long for a number', descriptor('', 'host:123456789012'), true],
  ['marks without lengths', Buffer.from('host:7host:7 host:7'), true],
])('%s', async (_what, state, isOwn) => {
  writeFileSync(path, state)
  const looked = requireOwnDescriptors(path, NAMES)
  if (isOwn) await looked
  else await expect(looked).rejects.toMatchObject(FOREIGN)
})

test('it is found, and its owner, wherever in the file it is', async () => {
  const own = descriptor('web')
  const foreign = descriptor('')
  for (let place = LOOKED_AT_ONCE - 64; place < LOOKED_AT_ONCE + 64; place++) {
    for (const before of [place, place + 2 * LOOKED_AT_ONCE]) {
      writeFileSync(path, Buffer.concat([Buffer.alloc(before), own, Buffer.alloc(LOOKED_AT_ONCE)]))
      await requireOwnDescriptors(path, NAMES)
      writeFileSync(path, Buffer.concat([Buffer.alloc(before), foreign, Buffer.alloc(LOOKED_AT_ONCE)]))
      await expect(requireOwnDescriptors(path, NAMES)).rejects.toMatchObject(FOREIGN)
    }
  }
})

test('a state full of names that could be one is looked through by turns', async () => {
  writeFileSync(path, 'host:'.repeat(MOST_MARKS))
  const looks = vi.spyOn(Buffer.prototype, 'indexOf')
  onTestFinished(() => looks.mockRestore())
  const perTurn: number[] = []
  let turn = setImmediate(function count() {
    perTurn.push(looks.mock.calls.length)
    looks.mockClear()
    turn = setImmediate(count)
  })
  await requireOwnDescriptors(path, NAMES)
  clearImmediate(turn)
  perTurn.push(looks.mock.calls.length)
  expect(perTurn.reduce((sum, each) => sum + each)).toBeGreaterThanOrEqual(MOST_MARKS)
  expect(Math.max(...perTurn)).toBeLessThanOrEqual(LOOKED_AT_ONCE / 'host:'.length + 2)
})

test('one with more of them than can be looked at is refused, and says what to do', async () => {
  writeFileSync(path, 'host:'.repeat(MOST_MARKS + 1))
  await expect(requireOwnDescriptors(path, NAMES)).rejects.toMatchObject({
    code: 'snapshot-incompatible',
    message: expect.stringMatching(/^more than 1000000 names .* remove some$/),
  })
})
