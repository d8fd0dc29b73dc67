/** Sentries that somebody has taken over: what they answer is theirs to choose. */
import { once } from 'node:events'
import { writeFileSync } from 'node:fs'
import { mkdtempDisposable } from 'node:fs/promises'
import { createServer, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, expect, test, vi } from 'vitest'
import { connectToSentry, killProcessTree, SentryControlError, signalContainer } from './sentry-control.ts'

afterEach(() => void vi.useRealTimers())

/** A sentry whose control socket somebody else answers; gives its state file. */
async function takenOver(
  onCall: (socket: Socket, data: string) => void,
): Promise<{ stateFile: string } & AsyncDisposable> {
  const directory = await mkdtempDisposable(join(tmpdir(), 'caisson-sentry-'))
  const controlSocketPath = join(directory.path, 'control.sock')
  const stateFile = join(directory.path, 'state.json')
  writeFileSync(stateFile, JSON.stringify({ sandbox: { controlSocketPath } }))
  const server = createServer((socket) =>
    socket.on('error', () => {}).on('data', (data) => onCall(socket, String(data))),
  )
  await once(server.listen(controlSocketPath), 'listening')
  return {
    stateFile,
    async [Symbol.asyncDispose]() {
      const closed = once(server, 'close')
      server.close()
      await closed
      await directory[Symbol.asyncDispose]()
    },
  }
}

const signal = { containerId: 'c', signal: 9, pid: 0 }

test('an answer that is begun and not ended is waited for only so long', async () => {
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] })
  await using sentry = await takenOver((socket) => socket.write('{"success":'))
  using connection = await connectToSentry(sentry.stateFile)
  const answer = connection.call('containerManager.Wait', 'c')
  answer.catch(() => {})
  await vi.waitUntil(() => vi.getTimerCount() === 1)
  vi.advanceTimersByTime(30_000)
  await expect(answer).rejects.toThrow(
    new SentryControlError('the sentry did not end its answer within 30000 ms', true),
  )
})

test('one that is not begun is waited for without end, and nothing is left of one that came', async () => {
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] })
  const asked = Promise.withResolvers<Socket>()
  await using sentry = await takenOver((socket) => asked.resolve(socket))
  using connection = await connectToSentry(sentry.stateFile)
  const answer = connection.call('containerManager.Wait', 'c')
  const socket = await asked.promise
  vi.advanceTimersByTime(1_000_000)
  socket.write('{"success":true,')
  await vi.waitUntil(() => vi.getTimerCount() === 1)
  socket.write('"result":7}')
  expect(await answer).toBe(7)
  expect(vi.getTimerCount()).toBe(0)
})

test.each([
  ['what is no object', 'null'],
  ['what does not parse', '{success}'],
])('%s ends the connection', async (_what, text) => {
  await using sentry = await takenOver((socket) => socket.write(text))
  await expect(signalContainer(sentry.stateFile, signal)).rejects.toMatchObject({ hungUp: true })
})

test('a complaint that is no text is one all the same', async () => {
  await using sentry = await takenOver((socket) => socket.write('{"success":false,"err":{"toString":1,"valueOf":1}}'))
  await expect(signalContainer(sentry.stateFile, signal)).rejects.toThrow(
    new SentryControlError('the sentry refused', false),
  )
})

test('one that answers unasked is not listened to any longer', async () => {
  const asked = Promise.withResolvers<Socket>()
  await using sentry = await takenOver((socket) => asked.resolve(socket.on('error', () => {})))
  using connection = await connectToSentry(sentry.stateFile)
  const answer = connection.call('containerManager.Signal', signal)
  const socket = await asked.promise
  socket.write('{"success":true}')
  expect(await answer).toBeUndefined()
  socket.write('{"success":true}')
  await once(socket, 'close')
  await expect(connection.call('containerManager.Signal', signal)).rejects.toMatchObject({ hungUp: true })
})

test('a tree of processes that grows whenever somebody looks is killed as far as it was found', async () => {
  const sent: Array<[signal: number, pid: number]> = []
  let newest = 1
  await using sentry = await takenOver((socket, data) => {
    const { method, arg } = JSON.parse(data) as { method: string; arg: { Signo: number; PID: number } }
    let result: unknown
    if (method === 'containerManager.Processes') result = [null, { pid: newest + 1, ppid: newest++ }]
    else sent.push([arg.Signo, arg.PID])
    socket.write(JSON.stringify({ success: true, result }))
  })
  await killProcessTree(sentry.stateFile, 'c', 1)
  const pids = Array.from({ length: 65 }, (_, index) => index + 1)
  const stopped = pids.slice(0, 64).map((pid) => [19, pid])
  expect(sent).toEqual([...stopped, ...pids.map((pid) => [9, pid])])
})
