/**
 * Variables for members of pools. What runs in a member cannot be given any; so each of its containers has a place in
 * which its claim's will be, and nodes give them to what they start there from then on.
 */
import {
  type ClaimEnvVar,
  isSecretKey,
  type KubeObject,
  LABELS,
  type Sandbox,
  type SandboxClaim,
  type SandboxSpec,
  type SandboxTemplate,
  WARM_ENV_DIRECTORY,
  warmEnvSecret,
} from '@caisson/api'
import { resources } from '@caisson/client'
import type { Container } from 'kubernetes-types/core/v1.d.ts'
import { sandboxReference } from '../sandbox/objects.ts'
import { byContainer, withEnv } from './env.ts'
import { rememberLast } from './remember-last.ts'

type PodSpec = SandboxSpec['podTemplate']['spec']

/** A variable of a claim with its value. */
export interface KnownVariable {
  name: string
  value: string
  containerName: string | undefined
}

/** What a Secret has to be: not the values, for they are kept nowhere else. */
export interface SecretToBe extends KubeObject {
  metadata: KubeObject['metadata'] & { name: string; namespace: string }
  type: 'Opaque'
  data: Readonly<Record<string, string>>
}

const VOLUME = 'caisson-env-'

/** Whether members of the template's pools have such places: not where processes are restored with the mounts they had. */
export function hasWarmEnv({ spec }: Pick<SandboxTemplate, 'spec'>): boolean {
  const { envVarsDelivery, fromSnapshot, podTemplate } = spec
  if (envVarsDelivery !== 'Warm' || fromSnapshot !== undefined) return false
  const { volumes = [], containers } = podTemplate.spec
  // What the template has there is the template's.
  const taken = containers.some(({ volumeMounts = [] }) =>
    volumeMounts.some(({ mountPath }) => `${mountPath}/`.replaceAll(/\/+/g, '/').startsWith('/run/caisson/')),
  )
  return !taken && !volumes.some(({ name }) => name.startsWith(VOLUME))
}

/** The Pod of a member: readable for whoever its processes are, as an environment would be. */
export function withWarmEnv(spec: PodSpec, sandbox: string): PodSpec {
  const volumes = spec.containers.map(({ name }, index) => ({
    name: VOLUME + index,
    secret: { secretName: warmEnvSecret(sandbox, name), optional: true, defaultMode: 0o444 },
  }))
  const containers = spec.containers.map((container, index) => ({
    ...container,
    volumeMounts: [
      ...(container.volumeMounts ?? []),
      { name: VOLUME + index, mountPath: WARM_ENV_DIRECTORY, readOnly: true },
    ],
  }))
  return { ...spec, containers, volumes: [...(spec.volumes ?? []), ...volumes] }
}

/** The Pod as it would be without. */
export function withoutWarmEnv(spec: PodSpec): PodSpec {
  if (!spec.containers.some(isPlace)) return spec
  const containers = spec.containers.map((container) => ({
    ...container,
    volumeMounts: container.volumeMounts?.filter(({ name }) => !name.startsWith(VOLUME)) ?? [],
  }))
  return { ...spec, containers, volumes: spec.volumes?.filter(({ name }) => !name.startsWith(VOLUME)) ?? [] }
}

/** Whether a Sandbox was made as a member with such places. */
export function takesWarmEnv({ podTemplate }: SandboxSpec): boolean {
  return podTemplate.spec.containers.some(isPlace)
}

function isPlace({ volumeMounts = [] }: Container): boolean {
  return volumeMounts.some(({ name, mountPath }) => name.startsWith(VOLUME) && mountPath === WARM_ENV_DIRECTORY)
}

/**
 * Whether the claim's variables can be given to a member: the template allows them, and they would be the same in a Pod
 * made for the claim. Init containers have run, and where a value refers to other variables only a start knows those.
 */
export function maySendEnv(template: SandboxTemplate, env: readonly ClaimEnvVar[]): boolean {
  return hasWarmEnv(template) && sentEnvProblem(template, env) === undefined
}

/**
 * Why a member that was made from the template may not be given the variables; undefined where it may. It has to be asked
 * before anything that they refer to is read: the controller may read more than who writes claims.
 */
export function sentEnvProblem(template: SandboxTemplate, env: readonly ClaimEnvVar[]): string | undefined {
  return problemOf(env, template)
}

const problemOf = rememberLast((env: readonly ClaimEnvVar[], { spec }: SandboxTemplate): string | undefined => {
  const pod = withEnv(spec.podTemplate.spec, env, spec)
  if ('rejected' in pod) return pod.rejected
  const names = new Set(spec.podTemplate.spec.containers.map(({ name }) => name))
  const stray = env.find(
    ({ name, value = '', containerName }) =>
      !isSecretKey(name) || /\$[($]/.test(value) || (containerName && !names.has(containerName)),
  )
  return stray && `environment variable ${JSON.stringify(stray.name)} cannot be given to a Sandbox that runs already`
})

/** The Secrets that give a claim's variables to its Sandbox, one for each container that has any. */
export function warmEnvSecrets(
  claim: SandboxClaim,
  sandbox: Sandbox,
  variables: readonly KnownVariable[],
): SecretToBe[] {
  const { name = '', namespace = '' } = sandbox.metadata
  const given = byContainer(variables)
  return sandbox.spec.podTemplate.spec.containers.flatMap((container, index) => {
    const unnamed = index === 0 ? (given.get('') ?? []) : []
    const all = [...(given.get(container.name) ?? []), ...unnamed]
    if (!all.length) return []
    const { apiVersion, kind } = resources.secrets
    return [
      {
        apiVersion,
        kind,
        metadata: {
          name: warmEnvSecret(name, container.name),
          namespace,
          labels: { [LABELS.claimUid]: claim.metadata.uid ?? '' },
          ownerReferences: [sandboxReference(sandbox)],
        },
        type: 'Opaque',
        data: Object.fromEntries(all.map((each) => [each.name, Buffer.from(each.value).toString('base64')])),
      },
    ]
  })
}
