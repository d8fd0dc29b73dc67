import { appendFile, mkdtemp, rename, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { createHostProcesses } from '../testing/host-processes.ts'
import { startKubectlServer } from '../testing/kubectl-server.ts'
import { serveOnePod } from '../testing/served-pod.ts'
import { type LogSource, readContainerLog } from './container-log.ts'

const RECORDS = [
  '2026-01-01T00:00:00.000000001Z stdout F one',
  '2026-01-01T00:00:01.000000002Z stderr F two',
  '2026-01-01T00:00:02.000000003Z stdout P thr',
  '2026-01-01T00:00:02.000000004Z stdout F ee',
  'not a record',
  '2026-01-01T00:00:03.000000005Z stdout F ',
  '2026-01-01T00:00:04.000000006Z stdout F five',
  '',
].join('\n')

let directory: string
let path: string
beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'caisson-log-'))
  path = join(directory, '0.log')
  await writeFile(path, RECORDS)
})
afterEach(() => rm(directory, { recursive: true }))

/** A container that writes to the log until it is stopped. */
function container(): { source: LogSource; stop(): void } {
  let writing = true
  const listeners = new Set<() => void>()
  return {
    source: {
      path,
      writing: () => writing,
      onStopped(listener) {
        listeners.add(listener)
        return { [Symbol.dispose]: () => void listeners.delete(listener) }
      },
    },
    stop() {
      writing = false
      for (const listener of listeners) listener()
    },
  }
}

async function logs(query: string, source: LogSource | string = container().source): Promise<string> {
  await using server = await startKubectlServer(serveOnePod(createHostProcesses(), { log: () => source }))
  const response = await fetch(`${server.url}/containerLogs/default/web/main?${query}`)
  const text = await response.text()
  return response.status === 200 ? text : `${response.status} ${text}`
}

describe('container logs', () => {
  test.each<[query: string, expected: string]>([
    ['', 'one\ntwo\nthree\n\nfive\n'],
    ['tailLines=2', '\nfive\n'],
    ['tailLines=0', ''],
    ['tailLines=100', 'one\ntwo\nthree\n\nfive\n'],
    // A record that is a part of a line counts as one, as in Kubernetes.
    ['tailLines=4', 'ee\n\nfive\n'],
    ['limitBytes=5', 'one\nt'],
    [
      'timestamps=true',
      `2026-01-01T00:00:00.000000001Z one
2026-01-01T00:00:01.000000002Z two
2026-01-01T00:00:02.000000003Z three
2026-01-01T00:00:03.000000005Z 
2026-01-01T00:00:04.000000006Z five
`,
    ],
    ['sinceTime=2026-01-01T00:00:03Z', '\nfive\n'],
    ['sinceSeconds=1', ''],
    ['stream=Stderr', 'two\n'],
    ['stream=Stdout&timestamps=1&limitBytes=33', '2026-01-01T00:00:00.000000001Z on'],
    ['tailLines=-1', '422 tailLines must be a whole number, 0 or more'],
    ['tailLines=1e3', '422 tailLines must be a whole number, 0 or more'],
    ['limitBytes=0', '422 limitBytes must be a whole number greater than 0'],
    ['sinceSeconds=0', '422 sinceSeconds must be a whole number greater than 0'],
    ['sinceTime=yesterday', '422 sinceTime must be a time as RFC 3339 writes it'],
    [
      'sinceSeconds=1&sinceTime=2026-01-01T00:00:03Z',
      '422 at most one of `sinceTime` or `sinceSeconds` may be specified',
    ],
    ['stream=Stdin', '422 stream must be All, Stdout or Stderr'],
    ['stream=Stdout&tailLines=1', '422 `tailLines` and specific `stream` are mutually exclusive for now'],
  ])('%s', async (query, expected) => {
    expect(await logs(query)).toBe(expected)
  })

  test('what a container has to say about having no log is passed on', async () => {
    expect(await logs('', 'container "main" in pod "web" is waiting to start: ContainerCreating')).toBe(
      '400 container "main" in pod "web" is waiting to start: ContainerCreating',
    )
  })

  test('follow goes on with what is appended, over rotations, until the container stops', async () => {
    const { source, stop } = container()
    await using server = await startKubectlServer(serveOnePod(createHostProcesses(), { log: () => source }))
    const response = await fetch(`${server.url}/containerLogs/default/web/main?follow=true&tailLines=1`)
    const reader = (response.body as ReadableStream<Uint8Array>).getReader()
    let text = ''
    async function until(expected: string): Promise<void> {
      while (!text.endsWith(expected)) text += Buffer.from((await reader.read()).value ?? []).toString()
    }
    await until('five\n')
    // A record may be written in two goes.
    await appendFile(path, '2026-01-01T00:00:05.000000000Z stdout F s')
    await appendFile(path, 'ix\n')
    await until('six\n')
    await appendFile(path, '2026-01-01T00:00:06.000000000Z stdout F last of the old\n')
    await rename(path, `${path}.old`)
    await writeFile(path, '2026-01-01T00:00:07.000000000Z stdout F first of the new\n')
    await until('first of the new\n')
    await appendFile(path, '2026-01-01T00:00:08.000000000Z stderr F goodbye\n')
    stop()
    await until('goodbye\n')
    expect(await reader.read()).toEqual({ done: true, value: undefined })
    expect(text).toBe('five\nsix\nlast of the old\nfirst of the new\ngoodbye\n')
  })

  test('a follower that is slower than several rotations misses nothing', async () => {
    const { source, stop } = container()
    const all = { follow: true, previous: false, timestamps: false, stream: 'All' } as const
    const query = { ...all, since: undefined, tailLines: 1, limitBytes: undefined }
    const log = readContainerLog(source, query, new AbortController().signal)
    expect((await log.next()).value?.toString()).toBe('five\n')
    // Nobody reads while this happens.
    for (let file = 1; file <= 3; file++) {
      await appendFile(path, `2026-01-01T00:00:05.000000000Z stdout F end of ${file}\n`)
      for (let old = file - 1; old >= 1; old--) await rename(`${path}.${old}`, `${path}.${old + 1}`)
      await rename(path, `${path}.1`)
      await writeFile(path, `2026-01-01T00:00:06.000000000Z stdout F start of ${file + 1}\n`)
    }
    stop()
    let text = ''
    for await (const chunk of log) text += chunk.toString()
    expect(text).toBe('end of 1\nstart of 2\nend of 2\nstart of 3\nend of 3\nstart of 4\n')
  })

  test('following the log of a container that has stopped ends by itself', async () => {
    const { source, stop } = container()
    stop()
    expect(await logs('follow=1&tailLines=1', source)).toBe('five\n')
  })

  test('upgrades and other methods are for other paths', async () => {
    await using server = await startKubectlServer(serveOnePod(createHostProcesses()))
    const post = await fetch(`${server.url}/containerLogs/default/web/main`, { method: 'POST' })
    expect([post.status, await post.text()]).toEqual([405, 'logs and statistics are read with GET'])
    const exec = await fetch(`${server.url}/exec/default/web/main?command=ls&output=1`)
    expect([exec.status, await exec.text()]).toEqual([400, 'you must request an upgrade of the connection'])
  })
})
