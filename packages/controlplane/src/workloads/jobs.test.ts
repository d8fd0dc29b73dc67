/** Jobs on a real API server, whose Pods end as the test says. */
import { componentUsers, startApiServer } from '@caisson/apiserver'
import { type PodObject, resources } from '@caisson/client'
import { expect, test } from 'vitest'
import { NAMESPACE } from '../testing/test-server.ts'
import { startWorkloadCluster, type WorkloadCluster } from '../testing/workload-cluster.ts'

const at = { namespace: NAMESPACE }
const FINISHED = 'Complete Failed'

function job(spec: object = {}) {
  const template = { spec: { restartPolicy: 'Never', containers: [{ name: 'main', image: 'one' }] } }
  return { metadata: { name: 'work' }, spec: { template, ...spec } }
}

/** Ends every running Pod as `exitCode` says, until the Job has finished. */
async function run(cluster: WorkloadCluster, exitCode: (pod: PodObject) => number = () => 0): Promise<void> {
  const { client, until, pods, setPodStatus } = cluster
  await until(async () => {
    for (const pod of await pods()) {
      if (pod.status?.phase !== 'Running' || pod.metadata.deletionTimestamp) continue
      const code = exitCode(pod)
      const finishedAt = new Date().toISOString()
      const state = { terminated: { exitCode: code, finishedAt } }
      const phase = code === 0 ? 'Succeeded' : 'Failed'
      const containerStatuses = [{ name: 'main', image: 'one', imageID: '', ready: false, restartCount: 0, state }]
      await setPodStatus(pod.metadata.name ?? '', { phase, containerStatuses })
    }
    const { status } = await client.get(resources.jobs, 'work', at)
    return status?.conditions?.some(({ type, status: is }) => FINISHED.includes(type) && is === 'True') ?? false
  })
}

async function summary({ client }: WorkloadCluster): Promise<object> {
  const { status = {} } = await client.get(resources.jobs, 'work', at)
  const { conditions, startTime, completionTime, ...counts } = status
  return {
    ...counts,
    conditions: conditions?.map(({ type, reason, message }) => `${type} ${reason}: ${message}`),
    times: [startTime !== undefined, completionTime !== undefined],
  }
}

test('a Job runs to its completions', async () => {
  await using cluster = await startWorkloadCluster({ startApiServer, componentUsers })
  await cluster.client.create(resources.jobs, job({ completions: 5, parallelism: 2 }), at)
  await run(cluster)
  expect(await summary(cluster)).toEqual({
    succeeded: 5,
    ready: 0,
    terminating: 0,
    uncountedTerminatedPods: {},
    conditions: [
      'SuccessCriteriaMet CompletionsReached: Reached expected number of succeeded pods',
      'Complete CompletionsReached: Reached expected number of succeeded pods',
    ],
    times: [true, true],
  })
  expect(await cluster.pods()).toHaveLength(5)
  expect((await cluster.pods()).flatMap(({ metadata }) => metadata.finalizers ?? [])).toEqual([])
  expect(cluster.events.at(-1)).toBe('Completed Job completed')
  expect(cluster.errors).toEqual([])
})

test('a Job that fails too often has failed', async () => {
  await using cluster = await startWorkloadCluster({ startApiServer, componentUsers })
  await cluster.client.create(resources.jobs, job({ backoffLimit: 0, parallelism: 2, completions: 2 }), at)
  await run(cluster, () => 1)
  expect(await summary(cluster)).toMatchObject({
    failed: expect.any(Number),
    conditions: [
      'FailureTarget BackoffLimitExceeded: Job has reached the specified backoff limit',
      'Failed BackoffLimitExceeded: Job has reached the specified backoff limit',
    ],
    times: [true, false],
  })
  expect(cluster.events.at(-1)).toBe('BackoffLimitExceeded Job has reached the specified backoff limit')
})

test('each index of an Indexed Job runs once, and knows which it is', async () => {
  await using cluster = await startWorkloadCluster({ startApiServer, componentUsers })
  const spec = { completionMode: 'Indexed', completions: 4, parallelism: 4, backoffLimitPerIndex: 0 }
  await cluster.client.create(resources.jobs, job(spec), at)
  const index = ({ metadata }: PodObject): string => metadata.labels?.['batch.kubernetes.io/job-completion-index'] ?? ''
  await run(cluster, (pod) => (index(pod) === '2' ? 3 : 0))
  expect(await summary(cluster)).toEqual({
    succeeded: 3,
    failed: 1,
    completedIndexes: '0,1,3',
    failedIndexes: '2',
    ready: 0,
    terminating: 0,
    uncountedTerminatedPods: {},
    conditions: ['FailureTarget FailedIndexes: Job has failed indexes', 'Failed FailedIndexes: Job has failed indexes'],
    times: [true, false],
  })
  const pods = (await cluster.pods()).sort((a, b) => index(a).localeCompare(index(b)))
  expect(pods.map(({ spec: pod }) => pod?.hostname)).toEqual(['work-0', 'work-1', 'work-2', 'work-3'])
  expect(pods[0]?.spec?.containers[0]?.env?.[0]?.name).toBe('JOB_COMPLETION_INDEX')
})

test('policies say which failures end a Job, and which successes are enough', async () => {
  await using cluster = await startWorkloadCluster({ startApiServer, componentUsers })
  const rules = [{ action: 'FailJob', onExitCodes: { operator: 'In', values: [42] } }]
  await cluster.client.create(resources.jobs, job({ podFailurePolicy: { rules } }), at)
  await run(cluster, () => 42)
  const [pod] = await cluster.pods()
  const message = `Container main for pod default/${pod?.metadata.name} failed with exit code 42 matching FailJob rule at index 0`
  expect(await summary(cluster)).toMatchObject({
    conditions: [`FailureTarget PodFailurePolicy: ${message}`, `Failed PodFailurePolicy: ${message}`],
  })
  await cluster.client.delete(resources.jobs, 'work', { ...at, propagationPolicy: 'Background' })
  const spec = { completionMode: 'Indexed', completions: 3, parallelism: 3 }
  const successPolicy = { rules: [{ succeededIndexes: '1' }] }
  await cluster.client.create(resources.jobs, job({ ...spec, successPolicy }), at)
  await cluster.until(async () => {
    const first = (await cluster.pods()).find(
      ({ metadata, status }) => metadata.name?.startsWith('work-1-') && status?.phase === 'Running',
    )
    if (first) await cluster.setPodStatus(first.metadata.name ?? '', { phase: 'Succeeded' })
    const { status } = await cluster.client.get(resources.jobs, 'work', at)
    return status?.conditions?.some(({ type }) => type === 'Complete') ?? false
  })
  expect(await summary(cluster)).toMatchObject({
    succeeded: 1,
    completedIndexes: '1',
    conditions: [
      'SuccessCriteriaMet SuccessPolicy: Matched rules at index 0',
      'Complete SuccessPolicy: Matched rules at index 0',
    ],
  })
})

test('a suspended Job has no Pods, and starts its time anew when it is resumed', async () => {
  await using cluster = await startWorkloadCluster({ startApiServer, componentUsers })
  const { client, until } = cluster
  await client.create(resources.jobs, job(), at)
  await until(async () => (await cluster.pods()).some(({ status }) => status?.phase === 'Running'))
  await client.patch(resources.jobs, 'work', { spec: { suspend: true } }, at)
  await until(async () => {
    const { status } = await client.get(resources.jobs, 'work', at)
    return (await cluster.pods()).length === 0 && !status?.active && !status?.startTime
  })
  expect(await summary(cluster)).toMatchObject({
    conditions: ['Suspended JobSuspended: Job suspended'],
    times: [false, false],
  })
  await client.patch(resources.jobs, 'work', { spec: { suspend: false } }, at)
  await run(cluster)
  expect(await summary(cluster)).toMatchObject({ succeeded: 1, times: [true, true] })
})

test('a finished Job goes when its time to live is over, its Pods with it', async () => {
  await using cluster = await startWorkloadCluster({ startApiServer, componentUsers })
  const { client, until } = cluster
  await client.create(resources.jobs, job({ ttlSecondsAfterFinished: 1 }), at)
  await run(cluster)
  await until(async () => {
    const { metadata } = await client.get(resources.jobs, 'work', at)
    return metadata.deletionTimestamp !== undefined
  })
  expect((await client.get(resources.jobs, 'work', at)).metadata.finalizers).toEqual(['foregroundDeletion'])
})
