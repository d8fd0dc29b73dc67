import type { PodSpec } from 'kubernetes-types/core/v1.d.ts'
import { expect, test } from 'vitest'
import { aPod } from './observed-pod-fixtures.ts'
import { refuseLessIsolation } from './refuse-isolation.ts'
import type { Handler } from './runtime-handler.ts'

const HANDLERS: Handler[] = ['runsc', 'runc', 'crun', 'runc-v2', 'kata', 'kata-fc']
const SHARED = ['runc', 'crun', 'runc-v2']
const appArmor = (type: string): object => ({ securityContext: { appArmorProfile: { type } } })
const main = { name: 'main', image: 'i' }

test.each<[asked: string, spec: object, refusedBy: string[]]>([
  ['nothing', {}, []],
  ['the namespaces of the machine', { hostPID: true }, HANDLERS],
  ['users of its own', { hostUsers: false }, SHARED],
  ["the machine's users", { hostUsers: true }, []],
  ['AppArmor for the Pod', appArmor('RuntimeDefault'), SHARED],
  ['AppArmor for a container', { containers: [{ ...main, ...appArmor('RuntimeDefault') }] }, SHARED],
  ['AppArmor for an init container', { initContainers: [{ ...main, ...appArmor('Localhost') }] }, SHARED],
  ['no AppArmor', appArmor('Unconfined'), []],
  [
    'AppArmor for a Pod whose container does without',
    { ...appArmor('RuntimeDefault'), containers: [{ ...main, ...appArmor('Unconfined') }] },
    [],
  ],
])('a Pod that asks for %s is refused where it would not get it', (_asked, spec, refusedBy) => {
  const refused = HANDLERS.filter((handler) => {
    try {
      refuseLessIsolation(aPod({ spec: spec as Partial<PodSpec> }), handler)
      return false
    } catch {
      return true
    }
  })
  expect(refused).toEqual(refusedBy)
})

test('what was AppArmor before it had fields counts too', () => {
  const pod = aPod()
  pod.metadata.annotations = { 'container.apparmor.security.beta.kubernetes.io/main': 'runtime/default' }
  expect(() => refuseLessIsolation(pod, 'runc')).toThrow(
    'container "main" asks for an AppArmor profile, which handler "runc" applies to none here: remove appArmorProfile from its securityContext and the Pod\'s, or use the RuntimeClass gvisor',
  )
})
