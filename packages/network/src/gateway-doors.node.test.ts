import { createClient, createInformers } from '@caisson/client'
import { expect, test } from 'vitest'
import { createGatewayDoors } from './gateway-doors.ts'
import { createPolicyRules } from './policy/policy-rules.ts'

/** Of loopback, and nobody else's. */
const GATEWAY = '127.77.53.1'

test('where one of the doors cannot be opened none stays open in the way of the next attempt', async () => {
  const absent = (): never => {
    throw new Error('nobody is there')
  }
  const transport = { request: async () => absent(), watch: absent, stream: absent, async [Symbol.asyncDispose]() {} }
  await using informers = createInformers(createClient(transport))
  const rules = createPolicyRules()
  const place = { range: '127.77.0.0/16', gateway: GATEWAY, prober: '127.77.255.254' }
  let isShort = true
  await using doors = createGatewayDoors({
    control: { open: async () => place, place: () => place, change: async () => new Map() },
    informers,
    apiServer: { host: '127.0.0.1', port: 6443 },
    // The last of them.
    get process() {
      if (isShort) throw new Error('no more files may be opened')
      return undefined
    },
    dns: { address: '10.96.0.10' },
    serviceRange: '10.96.0.0/16',
    rules,
    names: {
      domain: 'cluster.local',
      hasNamespace: () => false,
      service: () => undefined,
      serviceAt: () => undefined,
      endpointsAt: () => [],
      podNamespaceAt: () => undefined,
      isOwn: () => false,
    },
    onProcessDoor() {},
    onError: absent,
  })
  await expect(doors.open()).rejects.toThrow('no more files may be opened')
  expect(doors.place()).toBeUndefined()
  isShort = false
  await doors.open()
  const served = doors.piece()?.elements?.filter(({ set }) => set === 'served')
  expect(served?.map(({ key }) => key)).toEqual(['udp . 53', 'tcp . 53'])
})
