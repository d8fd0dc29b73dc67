import fc from 'fast-check'
import { expect, onTestFinished, test, vi } from 'vitest'
import type { ApiRequest, ApiResponse, Transport } from './transport.ts'
import { yieldRequests } from './yield-requests.ts'

const at = (path: string, signal?: AbortSignal): ApiRequest => ({ method: 'GET', path, ...(signal && { signal }) })

/** A server that answers when it is told to, and others that go first. */
function start(few: number) {
  const sent: string[] = []
  const open = new Map<string, (answer: ApiResponse) => void>()
  let busy = false
  let idle = Promise.withResolvers<void>()
  const none = () => {
    throw new Error('nobody asks for this')
  }
  const server: Transport = {
    request({ path }) {
      sent.push(path)
      return new Promise((resolve) => open.set(path, resolve))
    },
    watch: none,
    stream: none,
    async [Symbol.asyncDispose]() {},
  }
  const { sooner, later } = yieldRequests(server, { coming: () => busy, settled: () => idle.promise }, few)
  const turn = () => new Promise(setImmediate)
  return {
    sent,
    sooner,
    later,
    turn,
    get running() {
      return open.size
    },
    async answer(): Promise<void> {
      for (const [path, resolve] of open) {
        open.delete(path)
        resolve({ status: 200, body: {}, warnings: [] })
        break
      }
      await turn()
    },
    async become(next: boolean): Promise<void> {
      if (busy === next) return
      busy = next
      if (next) idle = Promise.withResolvers()
      else idle.resolve()
      await turn()
    },
  }
}

test('all at once while nobody goes first, two at a time while somebody does, and the rest when he is done', async () => {
  const server = start(2)
  for (const path of ['a', 'b', 'c']) void server.sooner.request(at(path))
  await server.turn()
  expect(server.sent).toEqual(['a', 'b', 'c'])
  await server.become(true)
  for (const path of ['d', 'e', 'f', 'g', 'h']) void server.sooner.request(at(path))
  await server.turn()
  expect(server.sent).toEqual(['a', 'b', 'c'])
  await server.answer()
  expect(server.sent).toEqual(['a', 'b', 'c'])
  await server.answer()
  expect(server.sent).toEqual(['a', 'b', 'c', 'd'])
  await server.become(false)
  expect(server.sent).toEqual(['a', 'b', 'c', 'd', 'e', 'f', 'g', 'h'])
})

test('a request that is given up while it waits is not sent, and takes nobody’s place', async () => {
  const server = start(1)
  await server.become(true)
  void server.sooner.request(at('a'))
  const abort = new AbortController()
  const waiting = server.sooner.request(at('b', abort.signal))
  const next = server.sooner.request(at('c'))
  abort.abort(new Error('given up'))
  await expect(waiting).rejects.toThrow('given up')
  await server.answer()
  await server.answer()
  await expect(next).resolves.toMatchObject({ status: 200 })
  expect(server.sent).toEqual(['a', 'c'])
})

test('those of `later` wait for those of `sooner`, and five seconds at most', async () => {
  const server = start(1)
  await server.become(true)
  for (const path of ['a', 'b']) void server.sooner.request(at(path))
  for (const path of ['x', 'y']) void server.later.request(at(path))
  void server.sooner.request(at('c'))
  await server.turn()
  await server.answer()
  await server.answer()
  expect(server.sent).toEqual(['a', 'b', 'c'])
  void server.sooner.request(at('d'))
  const now = vi.spyOn(performance, 'now').mockReturnValue(performance.now() + 5_000)
  onTestFinished(() => now.mockRestore())
  void server.sooner.request(at('e'))
  await server.answer()
  await server.answer()
  await server.answer()
  expect(server.sent).toEqual(['a', 'b', 'c', 'x', 'y', 'd'])
  await server.become(false)
  expect(server.sent).toEqual(['a', 'b', 'c', 'x', 'y', 'd', 'e'])
})

test('each is sent once and in order, and more than a few at a time only of those that came while nobody went first', async () => {
  const step = fc.constantFrom('sooner', 'later', 'answer', 'busy', 'idle')
  await fc.assert(
    fc.asyncProperty(fc.array(step, { maxLength: 60 }), fc.integer({ min: 1, max: 4 }), async (steps, few) => {
      const server = start(few)
      const asked = { sooner: [] as string[], later: [] as string[] }
      let before = 0
      let busy = false
      for (const each of [...steps, 'idle'] as const) {
        if (each === 'sooner' || each === 'later') {
          const path = `${each} ${asked[each].length}`
          asked[each].push(path)
          void server[each].request(at(path))
          await server.turn()
        } else if (each === 'answer') await server.answer()
        else await server.become((busy = each === 'busy'))
        if (busy) expect(server.running).toBeLessThanOrEqual(Math.max(few, before))
        before = server.running
      }
      const sent = (queue: string) => server.sent.filter((path) => path.startsWith(queue))
      expect({ sooner: sent('sooner'), later: sent('later') }).toEqual(asked)
    }),
  )
})
