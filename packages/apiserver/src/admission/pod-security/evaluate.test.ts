import { readFileSync } from 'node:fs'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import type { PodSpec } from '../pod-shape.ts'
import { describeViolations, violations } from './evaluate.ts'
import type { LevelVersion } from './policy.ts'

function verdict(spec: object, level: LevelVersion, annotations: Record<string, string> = {}): string {
  return describeViolations(violations({ annotations, spec: spec as PodSpec }, level))
}

const baseline: LevelVersion = { level: 'baseline', version: 'latest' }
const restricted: LevelVersion = { level: 'restricted', version: 'latest' }

/** What the restricted level asks for. */
const hardened = {
  securityContext: { runAsNonRoot: true, seccompProfile: { type: 'RuntimeDefault' } },
  containers: [{ name: 'c', securityContext: { allowPrivilegeEscalation: false, capabilities: { drop: ['ALL'] } } }],
}

function container(securityContext: object, rest: object = {}): object {
  return { containers: [{ name: 'c', securityContext, ...rest }] }
}

describe('baseline', () => {
  test.each<[spec: object, expected: string]>([
    [{ containers: [{ name: 'c' }] }, ''],
    [container({ privileged: true }), 'privileged (container "c" must not set securityContext.privileged=true)'],
    [
      { initContainers: [{ name: 'a', securityContext: { privileged: true } }], ...container({ privileged: true }) },
      'privileged (containers "a", "c" must not set securityContext.privileged=true)',
    ],
    [
      {
        containers: [{ name: 'c' }],
        ephemeralContainers: [{ name: 'debug', securityContext: { privileged: true } }],
      },
      'privileged (container "debug" must not set securityContext.privileged=true)',
    ],
    [
      { hostNetwork: true, hostPID: true, hostIPC: true, containers: [] },
      'host namespaces (hostNetwork=true, hostPID=true, hostIPC=true)',
    ],
    [
      {
        volumes: [
          { name: 'a', hostPath: { path: '/' } },
          { name: 'b', emptyDir: {} },
        ],
        containers: [],
      },
      'hostPath volumes (volume "a")',
    ],
    [
      { containers: [{ name: 'c', ports: [{ hostPort: 80 }, { hostPort: 8080 }, { containerPort: 1 }] }] },
      'hostPort (container "c" uses hostPorts 80, 8080)',
    ],
    [
      container({ capabilities: { add: ['SYS_ADMIN', 'CHOWN', 'NET_RAW'] } }),
      'non-default capabilities (container "c" must not include "NET_RAW", "SYS_ADMIN" in securityContext.capabilities.add)',
    ],
    [
      container({}, { livenessProbe: { httpGet: { host: '169.254.169.254' } } }),
      'probe or lifecycle host (container "c" uses probe or lifecycle host "169.254.169.254")',
    ],
    [
      container({ procMount: 'Unmasked' }),
      'procMount (container "c" must not set securityContext.procMount to "Unmasked")',
    ],
    [
      { securityContext: { seLinuxOptions: { type: 'spc_t', user: 'u' } }, containers: [] },
      'seLinuxOptions (pod set forbidden securityContext.seLinuxOptions: type "spc_t"; user may not be set)',
    ],
    [
      container({ seccompProfile: { type: 'Unconfined' } }),
      'seccompProfile (container "c" must not set securityContext.seccompProfile.type to "Unconfined")',
    ],
    [
      { securityContext: { sysctls: [{ name: 'kernel.msgmax' }, { name: 'net.ipv4.tcp_rmem' }] }, containers: [] },
      'forbidden sysctls (kernel.msgmax)',
    ],
    [
      {
        securityContext: { windowsOptions: { hostProcess: true } },
        ...container({ windowsOptions: { hostProcess: true } }),
      },
      'hostProcess (pod and container "c" must not set securityContext.windowsOptions.hostProcess=true)',
    ],
    [
      container({ appArmorProfile: { type: 'Unconfined' } }),
      'forbidden AppArmor profile (container "c" must not set AppArmor profile type to "Unconfined")',
    ],
  ])('%j', (spec, expected) => {
    expect(verdict(spec, baseline)).toBe(expected)
    expect(verdict(spec, { level: 'privileged', version: 'latest' })).toBe('')
  })

  test('AppArmor annotations', () => {
    const annotations = {
      'container.apparmor.security.beta.kubernetes.io/c': 'unconfined',
      'container.apparmor.security.beta.kubernetes.io/d': 'localhost/mine',
    }
    expect(verdict({ containers: [] }, baseline, annotations)).toBe(
      'forbidden AppArmor profile (annotation must not set AppArmor profile type to "container.apparmor.security.beta.kubernetes.io/c="unconfined"")',
    )
  })
})

describe('restricted', () => {
  test('a hardened Pod meets it, and a plain one is told everything', () => {
    expect(verdict(hardened, restricted)).toBe('')
    expect(verdict({ containers: [{ name: 'c' }] }, restricted)).toBe(
      'allowPrivilegeEscalation != false (container "c" must set securityContext.allowPrivilegeEscalation=false), ' +
        'unrestricted capabilities (container "c" must set securityContext.capabilities.drop=["ALL"]), ' +
        'runAsNonRoot != true (pod or container "c" must set securityContext.runAsNonRoot=true), ' +
        'seccompProfile (pod or container "c" must set securityContext.seccompProfile.type to "RuntimeDefault" or "Localhost")',
    )
  })

  test.each<[change: object, expected: string]>([
    [
      {
        volumes: [
          { name: 'a', hostPath: {} },
          { name: 'b', nfs: {} },
          { name: 'c', secret: {} },
        ],
      },
      'restricted volume types (volumes "a", "b" use restricted volume types "hostPath", "nfs")',
    ],
    [{ securityContext: { ...hardened.securityContext, runAsUser: 0 } }, 'runAsUser=0 (pod must not set runAsUser=0)'],
    [
      { securityContext: { ...hardened.securityContext, runAsNonRoot: false } },
      'runAsNonRoot != true (pod must not set securityContext.runAsNonRoot=false)',
    ],
    [{ os: { name: 'windows' }, ...container({ runAsNonRoot: true }) }, ''],
  ])('%j', (change, expected) => {
    expect(verdict({ ...hardened, ...change }, restricted)).toBe(expected)
  })

  test('an older version asks for what it asked for then', () => {
    const plain = { containers: [{ name: 'c', securityContext: { runAsNonRoot: true } }] }
    expect(verdict(plain, { level: 'restricted', version: 7 })).toBe('')
    expect(verdict(plain, { level: 'restricted', version: 18 })).toBe(
      'allowPrivilegeEscalation != false (container "c" must set securityContext.allowPrivilegeEscalation=false)',
    )
    expect(
      verdict(container({}, { livenessProbe: { tcpSocket: { host: 'x' } } }), { level: 'baseline', version: 33 }),
    ).toBe('')
  })
})

// Made once by Kubernetes' own evaluator (k8s.io/pod-security-admission v0.34.4) from Pods that fast-check made up;
// 20,000 more were compared in the same way with 32 levels and versions each.
interface Verdict {
  pod: { metadata: { annotations?: Record<string, string> }; spec: object }
  verdicts: Record<string, string>
}
const verdicts = JSON.parse(
  readFileSync(new URL('generated/kubernetes-verdicts.json', import.meta.url), 'utf8'),
) as Verdict[]

test('agrees with Kubernetes word for word', () => {
  expect(verdicts.length).toBe(60)
  for (const { pod, verdicts: expected } of verdicts) {
    const found = Object.keys(expected).map((key) => {
      const [level, version] = key.split(':') as [LevelVersion['level'], string]
      const asked = { level, version: version === 'latest' ? version : Number(version.slice('v1.'.length)) } as const
      return [key, verdict(pod.spec, asked, pod.metadata.annotations)]
    })
    expect(Object.fromEntries(found)).toEqual(expected)
  }
})

test('whatever stands in a template of a custom resource, the checks come to an end', () => {
  const fields = ['privileged', 'capabilities', 'add', 'seccompProfile', 'sysctls', 'name', 'ports', 'securityContext']
  const junk = fc.letrec((tie) => ({
    value: fc.oneof(
      { maxDepth: 5 },
      fc.constantFrom(null, true, 0, 'text', ''),
      fc.array(tie('value'), { maxLength: 3 }),
      fc.dictionary(
        fc.constantFrom(...fields, '__proto__', 'toString', 'type', 'livenessProbe', 'httpGet', 'host'),
        tie('value'),
      ),
    ),
  })).value
  const spec = fc.dictionary(
    fc.constantFrom('containers', 'initContainers', 'volumes', 'securityContext', 'hostPID', 'os'),
    junk,
  )
  fc.assert(
    fc.property(spec, fc.constantFrom(baseline, restricted), (given, level) => {
      expect(typeof verdict(given, level)).toBe('string')
    }),
    { numRuns: 1000 },
  )
})
