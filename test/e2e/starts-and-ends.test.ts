/** How clusters start and end when more happens than one command: several at once, and a disk that is full. */
import { closeSync, openSync, readFileSync, rmSync, writeSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { expect, test } from 'vitest'
import { startCluster } from './fixture.ts'
import { leftovers } from './leftovers.ts'

test('commands that start the cluster at the same time all have it', async () => {
  await using cluster = await startCluster()
  await cluster.mustCaisson(['down'])
  const outcomes = await Promise.all([
    cluster.caisson(['run', '--', 'echo', 'a']),
    cluster.caisson(['run', '--', 'echo', 'b']),
    cluster.caisson(['up', '--detach']),
    cluster.caisson(['run', '--', 'echo', 'c']),
  ])
  expect(outcomes.filter(({ code }) => code !== 0)).toEqual([])
  expect(outcomes.map(({ stdout }) => stdout)).toEqual(['a\n', 'b\n', expect.stringMatching(/running: https/), 'c\n'])
}, 120_000)

test('a full disk ends nothing: what is asked for is refused, and goes on when there is room', async () => {
  await using cluster = await startCluster({ disk: '96m' })
  await cluster.mustCaisson(['run', '--detach', '--name', 'sleeper', '--', 'sleep', '600'])
  await cluster.mustKubectl(['wait', '--for=condition=Ready', 'sandbox/sleeper', '--timeout=60s'])
  const { pid } = JSON.parse(await cluster.mustCaisson(['status', '-o', 'json'])) as { pid: number }
  const filler = join(cluster.dataDirectory, 'filler')
  fill(filler)
  const refused = await cluster.caisson(['run', '--', 'true'])
  expect([refused.code, refused.stderr]).toEqual([1, expect.stringContaining('the disk is full')])
  // The node has something to say of it by then, and nowhere to write it.
  await delay(11_000)
  expect(JSON.parse(await cluster.mustCaisson(['status', '-o', 'json']))).toMatchObject({ pid })
  rmSync(filler)
  expect(await cluster.mustCaisson(['exec', 'sleeper', '--', 'echo', 'still'])).toBe('still\n')
  // No new Pods: as elsewhere, a node whose disk was full takes none for five minutes.
  await cluster.mustKubectl(['create', 'configmap', 'again'])

  fill(filler)
  expect(await cluster.caisson(['down'])).toEqual({ code: 0, stdout: 'stopped\n', stderr: '' })
  const none = { processes: [], mounts: [], namespaces: [], containers: [], groups: [] }
  expect(leftovers(cluster.dataDirectory)).toEqual(none)
  const failed = await cluster.caisson(['up', '--detach'])
  expect(failed.code).toBe(1)
  expect(failed.stderr).toMatch(/the disk of .* is full; free some space and try again/)
  rmSync(filler)
  await cluster.mustCaisson(['up', '--detach'])
  expect(readFileSync(join(cluster.dataDirectory, 'caisson.log'), 'utf8')).not.toContain('Unhandled')
}, 180_000)

/** Until not one byte more fits. */
function fill(file: string): void {
  const descriptor = openSync(file, 'a')
  for (let bytes = 1024 * 1024; bytes >= 1; ) {
    try {
      writeSync(descriptor, Buffer.alloc(bytes))
    } catch {
      bytes = Math.floor(bytes / 2)
    }
  }
  closeSync(descriptor)
}
