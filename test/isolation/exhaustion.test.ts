/** Sandboxes that take all they can get, beside one that must not notice. */
import { readdirSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { type Cluster, startCluster } from '../e2e/fixture.ts'
import { commandLine } from '../e2e/leftovers.ts'
import { apply, pod, ready } from './attackers.ts'
import { InconclusiveError, PYTHON } from './controlled.ts'

/** Of one exec in the neighbour. Alone it takes a fifth of a second with kubectl's own start, on two cores that are busy. */
const BOUND_MS = 5_000
const LIMITS = { cpu: '500m', memory: '256Mi', 'ephemeral-storage': '64Mi' }

let cluster: Cluster
beforeAll(async () => {
  cluster = await startCluster()
  await apply(cluster, {
    ...pod('default', 'neighbour', {
      spec: {
        containers: [
          {
            name: 'main',
            image: 'caisson.dev/host',
            command: ['sleep', '1000'],
            readinessProbe: { exec: { command: ['true'] }, periodSeconds: 1, timeoutSeconds: 10, failureThreshold: 1 },
          },
        ],
      },
    }),
  })
  await ready(cluster, 'default')
})
afterAll(() => cluster[Symbol.asyncDispose]())

interface Neighbour {
  /** Times that exec took, in ms. */
  times: number[]
  restarts: string
  /** When it last became ready. */
  since: string
}

const field = (path: string, name = 'neighbour'): Promise<string> =>
  cluster.mustKubectl(['get', 'pod', name, '-o', `jsonpath={.status${path}}`])

async function ask(): Promise<number> {
  const began = performance.now()
  await cluster.mustKubectl(['exec', 'neighbour', '--', 'true'])
  return performance.now() - began
}

async function notice(times: number[] = []): Promise<Neighbour> {
  return {
    times,
    restarts: await field('.containerStatuses[0].restartCount'),
    since: await field('.conditions[?(@.type=="Ready")].lastTransitionTime'),
  }
}

/** Asks the neighbour until the attack has had its effect. The attack that has none is inconclusive. */
async function beside(name: string, script: string, effect: () => Promise<boolean>): Promise<void> {
  const before = await notice([await ask()])
  await apply(
    cluster,
    pod('default', name, {
      spec: { restartPolicy: 'Never' },
      command: [PYTHON, '-c', script],
      resources: { limits: LIMITS, requests: { cpu: '0', memory: '0', 'ephemeral-storage': '0' } },
    }),
  )
  const times: number[] = []
  const until = Date.now() + 60_000
  let came = false
  while (!came && Date.now() < until) {
    times.push(await ask())
    came = await effect()
  }
  if (!came) throw new InconclusiveError(`inconclusive: ${name} did nothing that could be noticed`)
  const { restarts, since } = await notice()
  expect({ restarts, since, slow: times.filter((time) => time > BOUND_MS) }).toEqual({
    restarts: before.restarts,
    since: before.since,
    slow: [],
  })
  await cluster.mustKubectl(['delete', 'pod', name, '--grace-period=0', '--force'])
}

/** Processes of the machine that run the neighbour, by what their command lines say. */
async function neighboursProcesses(): Promise<number[]> {
  const uid = await cluster.mustKubectl(['get', 'pod', 'neighbour', '-o', 'jsonpath={.metadata.uid}'])
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name) && commandLine(name).includes(cluster.dataDirectory))
    .filter((name) => commandLine(name).includes(uid))
    .map(Number)
}

test('a neighbour that does notice is seen by how it is measured', async () => {
  const stopped = await neighboursProcesses()
  for (const pid of stopped) process.kill(pid, 'SIGSTOP')
  try {
    const asked = ask().then(() => 'answered')
    expect(await Promise.race([asked, delay(BOUND_MS, 'not within the bound')])).toBe('not within the bound')
    for (const pid of stopped) process.kill(pid, 'SIGCONT')
    expect(await asked).toBe('answered')
  } finally {
    for (const pid of stopped) process.kill(pid, 'SIGCONT')
  }
  await ready(cluster, 'default')
})

test('all memory', async () => {
  await beside(
    'memory',
    'held = []\nwhile True: held.append(bytearray(b"x") * (1 << 20))',
    async () => (await field('.containerStatuses[0].state.terminated.reason', 'memory')) === 'OOMKilled',
  )
})

test('processes without end', async () => {
  const script = `
import os, time
count = 0
while True:
    try:
        if os.fork() == 0: time.sleep(1000)
        count += 1
    except OSError:
        print("no more", flush=True)
        time.sleep(1000)
`
  await beside('processes', script, async () => {
    const phase = await field('.phase', 'processes')
    return phase === 'Failed' || (await cluster.kubectl(['logs', 'processes'])).stdout.includes('no more')
  })
})

test('the disk', async () => {
  await beside(
    'disk',
    'with open("/var/tmp/full", "wb") as file:\n  while True: file.write(bytes(1 << 20)); file.flush()',
    async () => {
      const [reason, message] = (await field("['reason','message']", 'disk')).split(/ (.*)/s)
      return reason === 'Evicted' && /ephemeral.*storage/.test(message ?? '')
    },
  )
})

test('output without end, of which the newest is kept', async () => {
  const logs = join(cluster.dataDirectory, 'kubelet', 'logs')
  const size = (directory: string): number =>
    readdirSync(directory, { withFileTypes: true }).reduce((sum, entry) => {
      const path = join(directory, entry.name)
      return sum + (entry.isDirectory() ? size(path) : statSync(path).size)
    }, 0)
  let largest = 0
  await beside('output', 'while True: print("x" * 4000)', async () => {
    largest = Math.max(largest, size(logs))
    return largest > 25 * 1024 ** 2 || (await field('.phase', 'output')) === 'Failed'
  })
  expect(largest).toBeLessThan(60 * 1024 ** 2)
})

test('all processors', async () => {
  const script =
    'import os\nfor _ in range(8):\n  if os.fork() == 0:\n    while True: pass\nprint("busy", flush=True)\nwhile True: pass'
  let looks = 0
  await beside('processors', script, async () => {
    const busy = (await cluster.kubectl(['logs', 'processors'])).stdout.includes('busy')
    return busy && ++looks > 5
  })
})
