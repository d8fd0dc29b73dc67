import { execFile } from 'node:child_process'
import { promisify } from 'node:util'
import { expect, test } from 'vitest'
import { MOST_VALUES } from '../verbs/decode.ts'
import { decodeYaml } from './decode-yaml.ts'
import { createYamlThread } from './yaml-thread.ts'

const { decode } = createYamlThread()
const decodeYamlOffThread = (text: string) => decode(text, 'someone')

const lines = (count: number, line: (index: number) => string): string =>
  Array.from({ length: count }, (_, index) => line(index)).join('\n')

test('gives what the parser gives on the event loop', async () => {
  const text = `data:\n${lines(3000, (index) => `  k${index}: [${index}, "x", null, {a: true}]`)}\ndata2: 1\ndata2: 2\n`
  const decoded = await decodeYamlOffThread(text)
  expect(decoded).toEqual(decodeYaml(text))
  expect(decoded.duplicates).toEqual(['duplicate field "data2"'])
})

test('answers in the order of the calls, also after a failure', async () => {
  const [first, second, third] = await Promise.allSettled([
    decodeYamlOffThread('a: 1'),
    decodeYamlOffThread('a: [b'),
    decodeYamlOffThread('a: 3'),
  ])
  expect(first).toEqual({ status: 'fulfilled', value: { value: { a: 1 }, duplicates: [], repeatedLines: [] } })
  expect(second).toMatchObject({
    status: 'rejected',
    reason: { message: expect.stringMatching(/^yaml, line 1/) as string },
  })
  expect(third).toMatchObject({ value: { value: { a: 3 } } })
})

test('refuses what has too many values', async () => {
  const text = lines(MOST_VALUES + 1, (index) => `k${index}: 1`)
  await expect(decodeYamlOffThread(text)).rejects.toMatchObject({ code: 413, reason: 'RequestEntityTooLarge' })
})

test('aliases do not multiply', async () => {
  const text = `a: &a [x,x,x,x,x,x,x,x,x,x]\nb: &b [${'*a,'.repeat(50)}]\nc: [${'*b,'.repeat(51)}]\n`
  await expect(decodeYamlOffThread(text)).rejects.toThrow('Excessive alias count')
})

test('nor what they repeat', async () => {
  const text = (count: number): string => `a: &a ${'x'.repeat(1 << 20)}\nb: [${'*a,'.repeat(count)}]\n`
  await expect(decodeYamlOffThread(text(18))).rejects.toMatchObject({ code: 413, reason: 'RequestEntityTooLarge' })
  expect((await decodeYamlOffThread(text(16))).duplicates).toEqual([])
})

/** Some tenths of a second of a thread, and a hundred megabytes. */
const LARGE = lines(MOST_VALUES, (index) => `k${index}: 1`)

test('a body that takes more memory than it may is refused, and the next one is decoded', async () => {
  const thread = createYamlThread({ ms: 60_000, memoryMb: 48 })
  await expect(thread.decode(LARGE, 'someone')).rejects.toMatchObject({ code: 413 })
  expect(await thread.decode('a: 1', 'someone')).toEqual({ value: { a: 1 }, duplicates: [], repeatedLines: [] })
})

test('where no thread can be begun any more each is told so, and the process goes on', async () => {
  const program = `
    const { createYamlThread } = await import(${JSON.stringify(new URL('yaml-thread.ts', import.meta.url).href)})
    const { decode } = createYamlThread({ ms: 60_000, memoryMb: 48 })
    const codeOf = ({ code }) => code
    const text = ${JSON.stringify('k')} + Array.from({ length: ${MOST_VALUES} }, (_, index) => index).join(': 1\\nk') + ': 1'
    const codes = [decode(text, 'someone').catch(codeOf), decode('a: 1', 'someone').catch(codeOf)]
    process.permission.drop('worker')
    console.log(...(await Promise.all(codes)), await decode('a: 1', 'someone').catch(codeOf))`
  const permissions = ['--permission', '--allow-fs-read=*', '--allow-worker', '--no-warnings']
  const args = [...permissions, '--input-type=module', '-e', program]
  const { stdout } = await promisify(execFile)(process.execPath, args)
  expect(stdout).toBe('413 503 503\n')
})

test('who sends many waits for his own, and the others for one of them', async () => {
  const { decode } = createYamlThread()
  const order: string[] = []
  const note = (who: string) => () => void order.push(who)
  await Promise.all([
    ...Array.from({ length: 4 }, () => decode(LARGE, 'many').then(note('many'))),
    decode('a: 1', 'one').then(note('one')),
  ])
  expect(order).toEqual(['many', 'one', 'many', 'many', 'many'])
})

test('a body that takes longer than it may is refused, and what the thread says of it is no answer to the next', async () => {
  const { decode } = createYamlThread({ ms: 3000, memoryMb: 512 })
  await decode('a: 1', 'someone')
  // From here on timers are looked at before messages.
  await new Promise((resolve) => setImmediate(resolve))
  const first = decode('a: first', 'someone').catch((error: { code: number }) => error.code)
  const second = decode('a: second', 'someone').catch((error: { code: number }) => error.code)
  // Both the answer and the end of its time have come by the time that anybody looks.
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 3500)
  expect([await first, await second]).toEqual([413, { value: { a: 'second' }, duplicates: [], repeatedLines: [] }])
})

test('what waits is made JSON when it is its turn, and no more of it than one may have requests', async () => {
  const { encode } = createYamlThread()
  const order: string[] = []
  const json = (name: string) => () => {
    order.push(`${name} asked`)
    return JSON.stringify({ [name]: LARGE })
  }
  const first = encode(json('first'), 'many')
  const gone = encode(() => {
    throw new Error('nobody waits')
  }, 'many').catch((error: Error) => error.message)
  const last = encode(json('last'), 'many')
  const more = Array.from({ length: 250 }, () =>
    encode(() => '1', 'many').catch((error: { code: number }) => error.code),
  )
  const other = encode(() => '{"b": 1, "a": ["yes"]}', 'other')
  expect(order).toEqual(['first asked'])
  await first
  expect(await gone).toBe('nobody waits')
  await last
  expect(order).toEqual(['first asked', 'last asked'])
  expect(await other).toBe('a:\n- "yes"\nb: 1\n')
  const answers = await Promise.all(more)
  expect([answers.filter((answer) => answer === 429).length, answers[0], answers.at(-1)]).toEqual([53, '1\n', 429])
  expect(await encode(() => '2', 'many')).toBe('2\n')
})
