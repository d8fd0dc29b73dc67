import { describe, expect, test } from 'vitest'
import { createFakePods } from './fake-pods.ts'
import { aPod, NOW, second } from './observed-pod-fixtures.ts'
import { planPod } from './plan-pod.ts'

const hostIp = '192.0.2.1'

describe('fake Pods', () => {
  test('are Ready at once, with an address of their own, and stay as they are', () => {
    let clock = NOW
    const fake = createFakePods({ hostIp, rejection: () => undefined, now: () => clock, present: [] })
    const pod = aPod({ spec: { initContainers: [{ name: 'setup' }, { name: 'proxy', restartPolicy: 'Always' }] } })
    const { actions, status } = planPod(fake.observe(pod), clock)
    expect(actions).toEqual([])
    expect(status).toMatchObject({ phase: 'Running', podIP: '198.18.0.1' })
    expect(status?.conditions?.find(({ type }) => type === 'Ready')?.status).toBe('True')
    clock += 60 * second
    const later = planPod(fake.observe({ ...pod, ...(status && { status }) }), clock)
    expect(later.status).toEqual(status)
  })

  test('another agent leaves addresses with whom they belong to, and gives back those of Pods that are gone', () => {
    const present = aPod({ status: { phase: 'Running', podIP: '198.18.0.1' } })
    const fake = createFakePods({ hostIp, rejection: () => undefined, now: () => NOW, present: [present] })
    const other = aPod()
    other.metadata.uid = 'uid-2'
    expect(fake.observe(present).sandbox?.ip).toBe('198.18.0.1')
    expect(fake.observe(other).sandbox?.ip).toBe('198.18.0.2')
    fake.forget('uid-2')
    expect(fake.observe(other).sandbox?.ip).toBe('198.18.0.3')
  })

  test('have as many addresses as the node takes Pods, and more', () => {
    const fake = createFakePods({ hostIp, rejection: () => undefined, now: () => NOW, present: [] })
    const addresses = new Set<string>()
    for (let index = 0; index < 20_000; index++) {
      const pod = aPod()
      pod.metadata.uid = `uid-${index}`
      addresses.add(fake.observe(pod).sandbox?.ip ?? '')
    }
    expect(addresses.size).toBe(20_000)
    expect([...addresses].every((address) => /^198\.(18|19)\.\d{1,3}\.\d{1,3}$/.test(address))).toBe(true)
  })

  test('end when their time is over', () => {
    const fake = createFakePods({ hostIp, rejection: () => undefined, now: () => NOW, present: [] })
    const pod = aPod({
      spec: { activeDeadlineSeconds: 10 },
      status: { phase: 'Running', startTime: '2026-01-01T11:59:00Z' },
    })
    expect(planPod(fake.observe(pod), NOW).status).toMatchObject({ phase: 'Failed', reason: 'DeadlineExceeded' })
  })
})
