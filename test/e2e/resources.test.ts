/** Limits, room and what is used, as a user sees them. */
import { availableParallelism, totalmem } from 'node:os'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { type Cluster, findKubectl, startCluster } from './fixture.ts'

let cluster: Cluster
beforeAll(async () => {
  cluster = await startCluster()
})
afterAll(() => cluster[Symbol.asyncDispose]())

describe('caisson run', () => {
  const hog = 'held = []\nwhile True: held.append(bytearray(1 << 20))'

  test('ends what takes more memory than it may', async () => {
    const outcome = await cluster.caisson(['run', '--memory', '64Mi', '--', 'python3', '-c', hog])
    expect(outcome.code).toBe(137)
    expect((await cluster.mustCaisson(['run', '--memory', '64Mi', '--', 'echo', 'fine'])).trim()).toBe('fine')
  })

  test('shows the machine’s memory and processors whatever its limits', async () => {
    const script = "sed -n 's/^MemTotal: *//p' /proc/meminfo; nproc"
    const shown = await cluster.mustCaisson(['run', '--memory', '64Mi', '--cpu', '500m', '--', 'sh', '-c', script])
    expect(shown).toBe(`${Math.floor(totalmem() / 1024)} kB\n${availableParallelism()}\n`)
  })

  test.each([
    [['--memory', 'much'], /--memory takes a size such as 512Mi .*"much"/],
    [['--memory', '0'], /--memory takes a size/],
    [['--memory', '1'], /--memory takes 4Mi or more/],
    [['--cpu', '-1'], /--cpu takes a number of processors .*"-1"/],
  ])('refuses %j', async (args, message) => {
    const outcome = await cluster.caisson(['run', ...args, '--', 'true'])
    expect([outcome.code, outcome.stdout]).toEqual([64, ''])
    expect(outcome.stderr).toMatch(message)
  })
})

const pod = (name: string, resources: object): string =>
  JSON.stringify({
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { name },
    spec: { terminationGracePeriodSeconds: 1, containers: [{ name: 'main', image: 'caisson.dev/host', resources }] },
  })

describe.skipIf(!findKubectl())('kubectl', () => {
  test('top tells what nodes and Pods use', async () => {
    await cluster.mustKubectl(['apply', '-f', '-'], { input: pod('used', { limits: { memory: '64Mi' } }) })
    await cluster.mustKubectl(['wait', '--for=condition=Ready', 'pod/used', '--timeout=60s'])
    const table = await cluster.mustKubectl(['top', 'pod', '--no-headers'])
    expect(table).toMatch(/^used +\d+m +\d+Mi *\n$/)
    expect(await cluster.mustKubectl(['top', 'node', '--no-headers'])).toMatch(/^\S+ +\d+m +\d+% +\d+Mi +\d+% *\n$/)
    expect(await cluster.mustKubectl(['get', 'pods.metrics.k8s.io', '--no-headers'])).toMatch(
      /^used +\d+n +\d+Ki +10s\n$/,
    )
    await cluster.mustKubectl(['delete', 'pod', 'used', '--wait'])
  })

  test('what does not fit waits, says why, and starts when there is room', async () => {
    await cluster.mustKubectl(['apply', '-f', '-'], { input: pod('first', { requests: { cpu: '1500m' } }) })
    await cluster.mustKubectl(['wait', '--for=condition=Ready', 'pod/first', '--timeout=60s'])
    const cpus = await cluster.mustKubectl(['get', 'node', '-o', 'jsonpath={.items[0].status.allocatable.cpu}'])
    await cluster.mustKubectl(['apply', '-f', '-'], { input: pod('second', { requests: { cpu: cpus } }) })
    await cluster.mustKubectl(['wait', '--for=condition=PodScheduled=false', 'pod/second', '--timeout=60s'])
    const said = await cluster.mustKubectl(['get', 'pod', 'second', '-o', 'jsonpath={.status.conditions[0].message}'])
    expect(said).toBe(
      '0/1 nodes are available: 1 Insufficient cpu. preemption: 0/1 nodes are available: 1 No preemption victims found for incoming pod.',
    )
    await cluster.mustKubectl(['delete', 'pod', 'first', '--wait'])
    await cluster.mustKubectl(['wait', '--for=condition=Ready', 'pod/second', '--timeout=60s'])
    await cluster.mustKubectl(['delete', 'pod', 'second', '--wait'])
  })
})
