import { buffer } from 'node:stream/consumers'
import fc from 'fast-check'
import { describe, expect, test, vi } from 'vitest'
import { parse } from 'yaml'
import { type Finding, printFindings } from './findings.ts'
import { printList } from './print.ts'
import { indentedLines, lastSaid, oneLine, otherProgramsErrors, say, shownDocument } from './terminal-text.ts'

/** What a terminal acts on: its title, a colour by one character, a line of its own. */
const ARMED = '\u001b]0;pwned\u0007\u009b31mred\u007f\r\nforged: all is well'
const SHOWN = String.raw`\u001b]0;pwned\u0007\u009b31mred\u007f\r\nforged: all is well`

/** Among them all control characters. */
const LETTER = fc.integer({ min: 0, max: 0x17f }).map((code) => String.fromCharCode(code))

/** What is written to standard output and standard error meanwhile. */
async function written(write: () => unknown): Promise<string[]> {
  const lines: string[] = []
  const take = (line: unknown): boolean => lines.push(String(line)) > 0
  const spies = [
    vi.spyOn(console, 'log').mockImplementation(take),
    vi.spyOn(console, 'error').mockImplementation(take),
    vi.spyOn(process.stdout, 'write').mockImplementation(take),
  ]
  try {
    await write()
  } finally {
    for (const spy of spies) spy.mockRestore()
  }
  return lines
}

describe('nothing that a terminal acts on', () => {
  test('is in a line, whatever the text is, and other text is as it was', () => {
    fc.assert(
      fc.property(fc.string({ unit: LETTER }), (text) => {
        const line = oneLine(text)
        return !/\p{Cc}/u.test(line) && (line === text) === !/\p{Cc}/u.test(text)
      }),
    )
    expect(oneLine(ARMED)).toBe(SHOWN)
  })

  test('is in what is said, and no further line of it begins as another message does', async () => {
    expect(await written(() => say(`it ended: ${ARMED}\n`))).toEqual([
      `caisson: it ended: ${SHOWN.replace(String.raw`\r\n`, `${String.raw`\r`}\n  `)}`,
    ])
    expect(indentedLines('one\ntwo')).toBe('one\n  two')
  })

  test('is in a table, whose rows stay rows and whose columns stay columns', async () => {
    const row = (name: string, message: string) => ({
      kind: 'sandbox',
      name,
      object: {},
      cells: [name],
      wide: [message],
    })
    const columns = { always: ['NAME'], wide: ['MESSAGE'] }
    expect(await written(() => printList([row('one', ARMED), row('a\tb', 'fine')], columns, 'wide'))).toEqual([
      'NAME   MESSAGE',
      `one    ${SHOWN}`,
      String.raw`a\tb   fine`,
    ])
    expect(await written(() => printList([row(ARMED, '')], columns, 'name'))).toEqual([`sandbox/${SHOWN}`])
  })

  test('is in a finding', async () => {
    const finding: Finding = { check: 'lease', state: 'note', needed: false, message: ARMED }
    expect(await written(() => printFindings([finding], undefined))).toEqual([`note     lease      ${SHOWN}`])
    const [json = ''] = await written(() => printFindings([finding], 'json'))
    expect(json).not.toMatch(/\p{Cc}/u)
    expect(JSON.parse(json)).toEqual({ healthy: true, findings: [finding] })
  })

  test('is in a document, which says the same', async () => {
    const object = { message: ARMED, [`key ${ARMED}`]: '\u0085', text: 'one\n\ttwo\n' }
    const row = { kind: 'sandbox', name: 'one', object, cells: [] }
    for (const output of ['json', 'yaml'] as const) {
      const [document = ''] = await written(() => printList([row], { always: [] }, output))
      expect(document).not.toMatch(/(?![\n\t])\p{Cc}/u)
      expect(parse(document)).toEqual([object])
    }
    expect(shownDocument('a: |\n\tb\n')).toBe('a: |\n\tb\n')
  })

  test('comes through of what another program says, also where a character comes in two pieces', async () => {
    const errors = otherProgramsErrors()
    const said = Buffer.from('tar: ä\u009b31m\u001b[2J\n\tnext\n')
    for (const byte of said) errors.write(Buffer.of(byte))
    errors.end()
    expect((await buffer(errors)).toString()).toBe(`${String.raw`tar: ä\u009b31m\u001b[2J`}\n\tnext\n`)
  })
})

test.each([
  ['caisson: one: do this\n', 'one: do this'],
  ['2026-11-30 log: x\ncaisson: before\ncaisson: one\n  two\n', 'one\ntwo'],
  ['caisson: one\n2026-11-30 log: x\n', undefined],
  ['Error: boom\n    at main.ts:1\n', undefined],
  ['caisson: one\nError: boom\n    at main.ts:1\n', undefined],
  ['', undefined],
])('of %j what was said last is %j', (text, said) => {
  expect(lastSaid(text)).toBe(said)
})

test('what is said is what was said last', async () => {
  const sentence = 'one\ntwo: three'
  expect(lastSaid((await written(() => say(sentence))).join('\n'))).toBe(sentence)
})
