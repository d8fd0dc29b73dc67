/** For tests: claims beside volumes, and what becomes of them; the same on this control plane and on Kubernetes' own. */
import { type Client, resources } from '@caisson/client'
import { expect } from 'vitest'
import { NAMESPACE } from './test-server.ts'

interface Scenario {
  title: string
  /** By name: whom it is kept for, and what its spec has in place of the class, 1Gi and ReadWriteOnce. */
  volumes: Record<string, { labels?: Record<string, string>; claimRef?: string; spec?: object }>
  /** By name: what their spec has in place of the same. */
  claims: Record<string, { volumeName?: string; [field: string]: unknown }>
  /** Of each claim: the volume that it is bound to, or why it is not. */
  expected: Record<string, string>
  /** The class is there and waits for a consumer. */
  waits?: boolean
}

const size = (storage: string) => ({ capacity: { storage } })

export const bindingScenarios: readonly Scenario[] = [
  {
    title: 'a volume that is named has what is asked, and more',
    volumes: { v: { spec: { accessModes: ['ReadWriteOnce', 'ReadWriteMany'], ...size('5Gi') } } },
    claims: { c: { volumeName: 'v' } },
    expected: { c: 'v' },
  },
  {
    title: 'a volume that is named lacks something',
    volumes: {
      small: { spec: size('1Mi') },
      manual: { spec: { storageClassName: 'manual' } },
      block: { spec: { volumeMode: 'Block' } },
      once: {},
      labelled: {},
    },
    claims: {
      'of-small': { volumeName: 'small' },
      'of-manual': { volumeName: 'manual' },
      'of-block': { volumeName: 'block' },
      'of-once': { volumeName: 'once', accessModes: ['ReadWriteMany'] },
      // What is named need not have the labels that are asked for.
      'of-labelled': { volumeName: 'labelled', selector: { matchLabels: { tier: 'fast' } } },
    },
    expected: {
      'of-small': 'VolumeMismatch: Cannot bind to requested volume "small": requested PV is too small',
      'of-manual': 'VolumeMismatch: Cannot bind to requested volume "manual": storageClassName does not match',
      'of-block': 'VolumeMismatch: Cannot bind to requested volume "block": incompatible volumeMode',
      'of-once': 'VolumeMismatch: Cannot bind to requested volume "once": incompatible accessMode',
      'of-labelled': 'labelled',
    },
  },
  {
    title: 'a volume that is named is kept for another',
    volumes: { v: { claimRef: 'other' } },
    claims: { c: { volumeName: 'v' } },
    expected: { c: 'FailedBinding: volume "v" already bound to a different claim.' },
  },
  {
    title: 'a volume is kept for a claim, which need not name its class',
    volumes: { free: {}, kept: { claimRef: 'c', spec: { storageClassName: 'manual' } } },
    claims: { c: {} },
    expected: { c: 'kept' },
  },
  {
    title: 'a volume is kept for a claim that asks for more, and for one that names it',
    volumes: { a: { claimRef: 'c', spec: size('1Mi') }, b: { claimRef: 'd', spec: size('1Mi') } },
    claims: { c: {}, d: { volumeName: 'b' } },
    expected: { c: 'ProvisioningFailed: storageclass.storage.k8s.io "class" not found', d: 'b' },
  },
  {
    title: 'the fewest access modes come first, and then the smallest',
    volumes: {
      'more-modes': { spec: { accessModes: ['ReadWriteOnce', 'ReadOnlyMany'] } },
      large: { spec: size('4Gi') },
      fits: { spec: size('2Gi') },
      small: { spec: size('1Mi') },
    },
    claims: { c: {} },
    expected: { c: 'fits' },
  },
  {
    title: 'labels are asked for in every way',
    volumes: {
      slow: { labels: { tier: 'slow', disk: 'a' } },
      old: { labels: { tier: 'fast', old: '' } },
      plain: { labels: { tier: 'fast' } },
      wanted: { labels: { tier: 'fast', disk: 'b' }, spec: size('9Gi') },
    },
    claims: {
      c: {
        selector: {
          matchLabels: { tier: 'fast' },
          matchExpressions: [
            { key: 'disk', operator: 'Exists' },
            { key: 'old', operator: 'DoesNotExist' },
            { key: 'disk', operator: 'In', values: ['a', 'b'] },
            { key: 'tier', operator: 'NotIn', values: ['slow'] },
          ],
        },
      },
    },
    expected: { c: 'wanted' },
  },
  {
    title: 'a class that waits for a consumer leaves what is free and takes what is kept',
    volumes: { free: {}, kept: { claimRef: 'd' } },
    claims: { c: {}, d: {} },
    expected: { c: 'WaitForFirstConsumer: waiting for first consumer to be created before binding', d: 'kept' },
    waits: true,
  },
]

/** Makes the volumes of a scenario, and its claims once the volumes are known to be there. Each has a class and names of its own. */
export async function playScenario(client: Client, scenario: Scenario): Promise<void> {
  const own = ownNames(scenario)
  const defaults = { accessModes: ['ReadWriteOnce'], storageClassName: own.class }
  if (scenario.waits) {
    await client.create(resources.storageClasses, {
      metadata: { name: own.class },
      provisioner: 'kubernetes.io/no-provisioner',
      volumeBindingMode: 'WaitForFirstConsumer',
    })
  }
  for (const [name, { labels = {}, claimRef, spec }] of Object.entries(scenario.volumes)) {
    await client.create(resources.persistentVolumes, {
      metadata: { name: own.name(name), labels },
      spec: {
        ...defaults,
        ...size('1Gi'),
        hostPath: { path: `/volumes/${name}` },
        ...(claimRef !== undefined && { claimRef: { namespace: NAMESPACE, name: own.name(claimRef) } }),
        ...spec,
      },
    })
  }
  const phases = async (): Promise<unknown[]> => {
    const { items } = await client.list(resources.persistentVolumes, {})
    return items.filter(({ metadata }) => own.is(metadata.name)).map(({ status }) => status?.phase)
  }
  await expect.poll(phases).toEqual(Object.keys(scenario.volumes).map(() => 'Available'))
  for (const [name, { volumeName, ...spec }] of Object.entries(scenario.claims)) {
    const named = volumeName === undefined ? {} : { volumeName: own.name(volumeName) }
    await client.create(
      resources.persistentVolumeClaims,
      {
        metadata: { name: own.name(name) },
        spec: { ...defaults, resources: { requests: { storage: '1Gi' } }, ...named, ...spec },
      },
      { namespace: NAMESPACE },
    )
  }
}

/**
 * What has become of each claim of a scenario that is played, as its `expected` says it; empty where nothing has yet.
 *
 * @param eventsOf `REASON: MESSAGE` of each event about the claim of this name
 */
export async function outcomeOf(
  client: Client,
  scenario: Scenario,
  eventsOf: (claim: string) => readonly string[] | Promise<readonly string[]>,
): Promise<Record<string, string>> {
  const own = ownNames(scenario)
  const { items } = await client.list(resources.persistentVolumeClaims, { namespace: NAMESPACE })
  const outcome: Record<string, string> = {}
  for (const { metadata, spec, status } of items.filter((claim) => own.is(claim.metadata.name))) {
    const name = metadata.name ?? ''
    const said = status?.phase === 'Bound' ? spec?.volumeName : (await eventsOf(name))[0]
    outcome[own.plain(name)] = own.plain(said ?? '')
  }
  return outcome
}

function ownNames(scenario: Scenario) {
  const prefix = `own-${bindingScenarios.indexOf(scenario)}-`
  return {
    class: `${prefix}class`,
    name: (name: string) => `${prefix}${name}`,
    is: (name: string | undefined) => name?.startsWith(prefix) === true,
    plain: (text: string) => text.replaceAll(prefix, ''),
  }
}
