/**
 * The whole cluster's process is killed at random moments, and nothing that it acknowledged is lost, nothing that it made
 * is left behind, and what ran in sandboxes does not notice.
 *
 * CAISSON_TEST_CRASHES says how often (3; `make test-crash` 20), CAISSON_TEST_SEED from which seed on.
 */
import { setTimeout } from 'node:timers/promises'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { readDaemonRecord } from '../../packages/cli/src/cluster/daemon-record.ts'
import { dataDirectory } from '../../packages/cli/src/cluster/data-directory.ts'
import { sandboxes } from '../../packages/cli/src/sandboxes.ts'
import {
  type Client,
  createClient,
  createHttpTransport,
  findConnection,
  isNotFound,
  resources,
} from '../../packages/client/src/index.ts'
import { seeded } from '../differential/script.ts'
import { type Cluster, startCluster } from './fixture.ts'
import { leftovers, strays } from './leftovers.ts'

const crashes = Number(process.env['CAISSON_TEST_CRASHES'] ?? 3)
const random = seeded(Number(process.env['CAISSON_TEST_SEED'] ?? 1))
const namespace = 'default'

describe('kill -9 of the daemon', () => {
  let cluster: Cluster
  let down = false
  beforeAll(async () => {
    cluster = await startCluster()
  })
  afterAll(async () => {
    if (!down) await cluster[Symbol.asyncDispose]()
  })

  async function connected<T>(work: (client: Client) => Promise<T>): Promise<T> {
    const transport = createHttpTransport(await findConnection({ kubeconfig: cluster.env['KUBECONFIG'] ?? '' }))
    try {
      return await work(createClient(transport, { fieldManager: 'crash-test' }))
    } finally {
      await transport[Symbol.asyncDispose]()
    }
  }

  function kill(): void {
    const record = readDaemonRecord(dataDirectory(cluster.dataDirectory))
    if (!record) throw new Error('the cluster does not run')
    process.kill(record.pid, 'SIGKILL')
  }

  /** Waits for what the watch will say, until the test's own time is over. */
  async function until(
    client: Client,
    wanted: (names: Map<string, boolean>) => boolean,
  ): Promise<Map<string, boolean>> {
    const ready = new Map<string, boolean>()
    const look = async (): Promise<void> => {
      const { items } = await client.list(sandboxes, { namespace })
      ready.clear()
      for (const one of items)
        ready.set(
          one.metadata.name ?? '',
          one.status?.conditions?.some((condition) => condition.type === 'Ready' && condition.status === 'True') ??
            false,
        )
    }
    await look()
    if (wanted(ready)) return ready
    for await (const _event of client.watch(sandboxes, { namespace, resourceVersion: '0' })) {
      await look()
      if (wanted(ready)) return ready
    }
    throw new Error('the watch ended before it was so')
  }

  /** Of what the crashes left, and of the Pods that were deleted, nothing is there when all has come to rest. */
  async function noStrays(client: Client): Promise<void> {
    const look = async (): Promise<string[]> => {
      const { items } = await client.list(resources.pods, { namespace })
      return strays(cluster.dataDirectory, new Set(items.map((pod) => pod.metadata.uid ?? '')))
    }
    // Some fifty sandboxes may have to go first, on two processors.
    await expect.poll(look, { timeout: 60_000, interval: 200 }).toEqual([])
  }

  const spec = (
    command: string,
  ): {
    podTemplate: {
      spec: { terminationGracePeriodSeconds: number; containers: [{ name: string; image: string; command: string[] }] }
    }
  } => ({
    podTemplate: {
      spec: {
        terminationGracePeriodSeconds: 0,
        containers: [{ name: 'main', image: 'caisson.dev/host', command: ['sh', '-c', command] }],
      },
    },
  })

  test(
    `${crashes} times during creates and deletes: every acknowledged object is there, and the rest is gone`,
    async () => {
      const steady = 'steady'
      await connected(async (client) => {
        await client.create(
          sandboxes,
          { metadata: { name: steady, namespace }, spec: spec('echo began; while :; do sleep 1; done') },
          { namespace },
        )
        await until(client, (names) => names.get(steady) === true)
      })
      const began = (): Promise<string> => cluster.mustCaisson(['exec', steady, '--', 'cat', '/proc/1/stat'])
      const before = await began()

      const expected = new Set<string>()
      let next = 0
      for (let crash = 0; crash < crashes; crash++) {
        const writes = 50
        // Half of the kills come as a write begins, half of them at any moment while some are on their way.
        const timed = random.chance(0.5)
        const at = random.integer(writes)
        const within = random.integer(20)
        // Nothing goes on before it has come.
        let killed: Promise<void> | undefined
        // Deletes that were asked for and not acknowledged: they may or may not have happened.
        const doubtful = new Set<string>()
        await connected(async (client) => {
          const work = Array.from({ length: writes }, (_, index) => async (): Promise<void> => {
            if (index === at && timed) killed = setTimeout(within).then(kill)
            else if (index === at) kill()
            const victim = [...expected].find((name) => !doubtful.has(name))
            if (victim && random.chance(0.45)) {
              doubtful.add(victim)
              await client.delete(sandboxes, victim, { namespace, signal: AbortSignal.timeout(5000) })
              expected.delete(victim)
            } else {
              const name = `c-${next++}`
              await client.create(
                sandboxes,
                { metadata: { name, namespace }, spec: spec('sleep 600') },
                { namespace, signal: AbortSignal.timeout(5000) },
              )
              expected.add(name)
            }
          })
          for (let index = 0; index < writes; index += 5) {
            const results = await Promise.allSettled(work.slice(index, index + 5).map((one) => one()))
            if (results.some((result) => result.status === 'rejected')) break
          }
        })
        await killed
        await cluster.mustCaisson(['up', '--detach'])
        await connected(async (client) => {
          const { items } = await client.list(sandboxes, { namespace })
          const there = new Set(items.map((one) => one.metadata.name ?? ''))
          const missing = [...expected].filter((name) => !there.has(name))
          expect(missing.filter((name) => !doubtful.has(name))).toEqual([])
          for (const name of missing) expected.delete(name)
          for (const name of there) if (name !== steady) expected.add(name)
          // Few at a time: two processors do not run fifty sandboxes.
          const surplus = [...expected].slice(3)
          await Promise.all(
            surplus.map((name) =>
              client.delete(sandboxes, name, { namespace }).catch((error: unknown) => {
                if (!isNotFound(error)) throw error
              }),
            ),
          )
          for (const name of surplus) expected.delete(name)
          await until(client, (names) => names.size === expected.size + 1 && [...names.values()].every(Boolean))
          await noStrays(client)
        })
      }
      // The same process, not one that was started again.
      expect(startTime(await began())).toBe(startTime(before))
      expect(await cluster.mustCaisson(['logs', steady])).toBe('began\n')
      await connected(async (client) => {
        const { items } = await client.list(resources.pods, { namespace })
        expect(items.find((pod) => pod.metadata.name === steady)?.status?.containerStatuses?.[0]?.restartCount).toBe(0)
      })
      await cluster.mustCaisson(['rm', '--all'])
      // Before `down`, which takes away whatever it finds.
      await connected(noStrays)
      await cluster.mustCaisson(['down'])
      expect(leftovers(cluster.dataDirectory)).toEqual({
        processes: [],
        mounts: [],
        namespaces: [],
        containers: [],
        groups: [],
      })
      down = true
      await cluster[Symbol.asyncDispose]()
    },
    60_000 + crashes * 60_000,
  )
})

/** Field 22 of /proc/PID/stat. */
function startTime(stat: string): string | undefined {
  return stat.slice(stat.lastIndexOf(')') + 2).split(' ')[19]
}
