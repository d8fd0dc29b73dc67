import { expect, onTestFinished, test } from 'vitest'
import { createClient } from './client.ts'
import { createEventRecorder, type EventInput, type EventRecorderOptions } from './events.ts'
import { inProcessTransport } from './in-process-transport.ts'
import { createObjectServer, refuse } from './testing/object-server.ts'

const START = Date.UTC(2026, 0, 1)
const pod = { apiVersion: 'v1', kind: 'Pod', metadata: { namespace: 'n', name: 'web', uid: 'u', resourceVersion: '7' } }

function setUp(options: Partial<EventRecorderOptions> = {}) {
  const server = createObjectServer()
  const errors: unknown[] = []
  let time = START
  const recorder = createEventRecorder(createClient(inProcessTransport(server)), {
    component: 'test-controller',
    now: () => time,
    retryDelay: 1,
    onError: (error) => errors.push(error),
    ...options,
  })
  onTestFinished(() => recorder[Symbol.asyncDispose]())
  async function say(message: string, input: Partial<EventInput> = {}): Promise<void> {
    recorder.record(pod, { type: 'Normal', reason: 'Testing', message, ...input })
    await recorder.flush()
  }
  const events = () =>
    [...server.objects.values()].map((event) => `${String(event['count'])}x ${String(event['message'])}`)
  return { server, errors, recorder, say, events, later: (ms: number) => void (time += ms) }
}

test('an event says who saw what about which object', async () => {
  const { server, recorder } = setUp({ host: 'node-1' })
  recorder.record(pod, { type: 'Warning', reason: 'Failed', message: 'no', annotations: { a: 'b' } })
  await recorder.flush()
  expect([...server.objects]).toEqual([
    [
      '/api/v1/namespaces/n/events/web.18867251edfa0000',
      {
        apiVersion: 'v1',
        kind: 'Event',
        metadata: {
          name: 'web.18867251edfa0000',
          namespace: 'n',
          annotations: { a: 'b' },
          resourceVersion: '1',
          uid: 'uid-1',
        },
        involvedObject: { apiVersion: 'v1', kind: 'Pod', namespace: 'n', name: 'web', uid: 'u', resourceVersion: '7' },
        type: 'Warning',
        reason: 'Failed',
        message: 'no',
        source: { component: 'test-controller', host: 'node-1' },
        reportingComponent: 'test-controller',
        reportingInstance: 'node-1',
        firstTimestamp: '2026-01-01T00:00:00Z',
        lastTimestamp: '2026-01-01T00:00:00Z',
        count: 1,
      },
    ],
  ])
})

test('about something without a namespace it is in default, and its name fits whatever the object is called', async () => {
  const { server, recorder } = setUp()
  recorder.record(
    { kind: 'Node', name: `${'n'.repeat(236)}.x` },
    { type: 'Normal', reason: 'A', message: 'x'.repeat(5000) },
  )
  recorder.record({ kind: 'Node', name: 'n' }, { type: 'Normal', reason: 'A', message: 'x' })
  await recorder.flush()
  const [long, short] = [...server.objects.values()]
  expect(long?.metadata.namespace).toBe('default')
  expect(long?.metadata.name).toMatch(/^n{236}\.[0-9a-f]{16}$/)
  expect(String(long?.['message']).length).toBe(4096)
  expect(short?.metadata.name).not.toBe(long?.metadata.name)
})

test('events gather for a while before they are written, unless somebody waits for them', async () => {
  const { server, recorder, events } = setUp({ gather: 3_600_000 })
  for (const message of ['one', 'two']) recorder.record(pod, { type: 'Normal', reason: message, message })
  await new Promise((resolve) => setImmediate(resolve))
  expect(server.objects.size).toBe(0)
  await recorder.flush()
  expect(events()).toEqual(['1x one', '1x two'])
  const soon = setUp({ gather: 1 })
  soon.recorder.record(pod, { type: 'Normal', reason: 'Soon', message: 'soon' })
  await expect.poll(soon.events).toEqual(['1x soon'])
})

test('events that gather are given up with their recorder', async () => {
  const { server, recorder, errors } = setUp({ gather: 3_600_000 })
  recorder.record(pod, { type: 'Normal', reason: 'Late', message: 'late' })
  await recorder[Symbol.asyncDispose]()
  expect([server.objects.size, errors]).toEqual([0, []])
})

test('the same again is counted', async () => {
  const { say, events, server, later } = setUp()
  await say('once')
  await say('more')
  later(2000)
  await say('more')
  await say('more')
  expect(events()).toEqual(['1x once', '3x more'])
  expect(server.requests.at(-1)).toMatchObject({
    method: 'PATCH',
    patchType: 'application/merge-patch+json',
    body: { count: 3, lastTimestamp: '2026-01-01T00:00:02Z' },
  })
  expect([...server.objects.values()][1]).toMatchObject({ firstTimestamp: '2026-01-01T00:00:00Z' })
})

test('what is counted and was deleted is made anew', async () => {
  const { say, events, server } = setUp()
  await say('more')
  server.objects.clear()
  await say('more')
  expect(events()).toEqual(['2x more'])
})

test('many that differ only in their message become one, until it was quiet for ten minutes', async () => {
  const { say, events, later } = setUp()
  for (let index = 0; index < 14; index++) await say(`try ${index}`)
  expect(events().slice(8)).toEqual(['1x try 8', '5x (combined from similar events): try 13'])
  later(600_001)
  await say('try again')
  expect(events().at(-1)).toBe('1x try again')
})

test('one source may say only so much about one object', async () => {
  const { say, events, server, later, recorder } = setUp()
  for (let index = 0; index < 30; index++) await say(`reason ${index}`, { reason: `Reason${index}` })
  expect(events()).toHaveLength(25)
  recorder.record(
    { ...pod, metadata: { ...pod.metadata, uid: 'other' } },
    { type: 'Normal', reason: 'Other', message: 'other' },
  )
  await recorder.flush()
  expect(events()).toHaveLength(26)
  later(300_000)
  await say('one more')
  await say('and no more', { reason: 'Last' })
  expect(events().at(-1)).toBe('1x one more')
  expect(server.requests).toHaveLength(27)
})

test('a server that is away is waited for, one that refuses is not', async () => {
  const { say, events, server, errors } = setUp()
  let failures = 3
  server.before = () => (failures-- > 0 ? refuse(503, 'ServiceUnavailable') : undefined)
  await say('patience')
  expect(events()).toEqual(['1x patience'])
  server.before = () => refuse(403, 'Forbidden')
  await say('forbidden')
  expect(errors).toMatchObject([{ reason: 'Forbidden' }])
  server.before = () => refuse(500, 'InternalError')
  server.requests.length = 0
  await say('hopeless')
  expect(server.requests).toHaveLength(12)
})

test('no more wait than there is room for, and none after the end', async () => {
  const { recorder, server } = setUp()
  const held = Promise.withResolvers<undefined>()
  server.before = () => held.promise
  for (let index = 0; index < 1500; index++) {
    recorder.record({ kind: 'Node', name: `n${index}` }, { type: 'Normal', reason: 'A', message: 'x' })
  }
  held.resolve(undefined)
  await recorder.flush()
  expect(server.objects.size).toBe(1001)
  await recorder[Symbol.asyncDispose]()
  recorder.record(pod, { type: 'Normal', reason: 'A', message: 'late' })
  await recorder.flush()
  expect(server.objects.size).toBe(1001)
})
