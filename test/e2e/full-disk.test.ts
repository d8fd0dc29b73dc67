/** A sandbox that is to fall asleep on a disk that has no room for its memory, as whoever wants it to sees it. */
import { readdirSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { fillDisk } from '../../packages/kubelet/src/testing/fill-disk.ts'
import { startCluster } from './fixture.ts'

const MB = 1024 * 1024
/** Of less than a tenth of its disk the node evicts, with less than 64 MiB it keeps no memory. */
const [DISK, LEFT] = ['512m', 58 * MB]

/** Counts in its memory, and says how far it is where it is asked. */
const COUNTER = `
import os, time
count = 0
while True:
    count += 1
    if os.path.exists('/tmp/ask'):
        os.remove('/tmp/ask')
        with open('/tmp/count', 'w') as file: file.write(str(count))
        os.rename('/tmp/count', '/tmp/told')
    time.sleep(0.01)
`

test('a sandbox goes on where there is no room for its memory, and sleeps once there is', async () => {
  await using cluster = await startCluster({ disk: DISK })
  const count = async (): Promise<number> => {
    const script = 'rm -f /tmp/told; touch /tmp/ask; until [ -e /tmp/told ]; do sleep 0.01; done; cat /tmp/told'
    return Number(await cluster.mustCaisson(['exec', 'sleeper', '--', 'sh', '-c', script]))
  }
  await cluster.mustCaisson(['run', '--detach', '--name', 'sleeper', '--', 'python3', '-c', COUNTER])
  const before = await count()
  {
    using _full = await fillDisk(cluster.dataDirectory, LEFT)
    expect(await cluster.caisson(['suspend', 'sleeper'])).toEqual({
      code: 1,
      stdout: '',
      stderr: expect.stringMatching(
        /^caisson: sandbox sleeper goes on running, its memory could not be kept: the disk has \d+ bytes left, expected \d+ for the snapshot and 67108864 beside it: make room\n$/,
      ),
    })
    expect(readdirSync(join(cluster.dataDirectory, 'kubelet/snapshots'))).toEqual([])
    expect(await count()).toBeGreaterThan(before)
  }
  expect(await cluster.mustCaisson(['suspend', 'sleeper'])).toBe('sleeper\n')
  expect(await cluster.mustCaisson(['resume', 'sleeper'])).toBe('sleeper\n')
  expect(await count()).toBeGreaterThan(before)
  const restarts = '{.status.containerStatuses[0].restartCount}'
  expect(await cluster.mustKubectl(['get', 'pod', 'sleeper', '-o', `jsonpath=${restarts}`])).toBe('0')
})
