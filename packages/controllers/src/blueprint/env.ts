/** Environment variables that a claim brings along, put into the containers of the template as far as that allows it. */
import type { ClaimEnvVar, SandboxSpec, SandboxTemplate } from '@caisson/api'
import type { Container, EnvVar } from 'kubernetes-types/core/v1.d.ts'

type PodSpec = SandboxSpec['podTemplate']['spec']
type Policy = SandboxTemplate['spec']['envVarsInjectionPolicy']

/** What a template lets claims bring. */
export type EnvRules = Pick<SandboxTemplate['spec'], 'envVarsInjectionPolicy' | 'envVarsSources'>

/** What was asked for is not allowed: nothing that repetition changes. */
export interface Rejection {
  rejected: string
}

/**
 * The Pod with the variables. Without `containerName` they go to the first container; init containers have to be named.
 * With the policy Allowed they may not replace any, with Overrides they may. `valueFrom` may name only the Secrets and
 * ConfigMaps that the template lists: who may create claims need not be one who may read them.
 */
export function withEnv(spec: PodSpec, env: readonly ClaimEnvVar[], rules: EnvRules): PodSpec | Rejection {
  if (!env.length) return spec
  const { envVarsInjectionPolicy: policy } = rules
  if (policy !== 'Allowed' && policy !== 'Overrides')
    return rejected('environment variable injection is not allowed by the template policy')
  const names = new Set([...(spec.initContainers ?? []), ...spec.containers].map(({ name }) => name))
  const stray = env.find(({ containerName }) => containerName && !names.has(containerName))
  if (stray)
    return rejected(
      `target container ${JSON.stringify(stray.containerName)} not found in template for environment variable ${JSON.stringify(stray.name)}`,
    )
  const unlisted = env.map((variable) => unlistedSource(variable, rules.envVarsSources)).find(Boolean)
  if (unlisted) return rejected(unlisted)
  const [first] = spec.containers
  const variables = byContainer(env)
  let problem: Rejection | undefined
  const inject = (container: Container): Container => {
    const named = variables.get(container.name) ?? []
    const unnamed = container === first ? (variables.get('') ?? []) : []
    const result = injected(container, [...named, ...unnamed], policy)
    if (!('rejected' in result)) return result
    problem ??= result
    return container
  }
  const initContainers = spec.initContainers?.map(inject)
  const containers = spec.containers.map(inject)
  return problem ?? { ...spec, containers, ...(initContainers && { initContainers }) }
}

/** Under the name of the container that each is for, `''` for the first one: whoever claims may bring very many. */
export function byContainer<T extends { containerName?: string | undefined }>(
  variables: readonly T[],
): ReadonlyMap<string, readonly T[]> {
  return Map.groupBy(variables, ({ containerName }) => containerName ?? '')
}

function injected(container: Container, env: readonly ClaimEnvVar[], policy: Policy): Container | Rejection {
  if (!env.length) return container
  // Whether a name comes from there is not known before the container starts.
  if (policy === 'Allowed' && container.envFrom?.length)
    return rejected(
      `container ${JSON.stringify(container.name)} uses EnvFrom sources; Allowed policy cannot safely prevent overriding EnvFrom-provided variables`,
    )
  const result = [...(container.env ?? [])]
  /** Where each name is first. */
  const places = new Map<string, number>()
  for (const [at, { name }] of result.entries()) if (!places.has(name)) places.set(name, at)
  for (const variable of env) {
    const at = places.get(variable.name)
    if (at === undefined) places.set(variable.name, result.push(asPodEnv(variable)) - 1)
    else if (policy === 'Overrides') result[at] = asPodEnv(variable)
    else
      return rejected(
        `environment variable override is not allowed by the template policy for variable ${JSON.stringify(variable.name)}`,
      )
  }
  return { ...container, env: result }
}

function unlistedSource({ name, valueFrom }: ClaimEnvVar, sources: EnvRules['envVarsSources']): string | undefined {
  const { secretKeyRef, configMapKeyRef } = valueFrom ?? {}
  if (secretKeyRef && !sources?.secrets?.includes(secretKeyRef.name ?? ''))
    return `variable ${JSON.stringify(name)} refers to Secret ${JSON.stringify(secretKeyRef.name)}, which envVarsSources.secrets of the template does not list`
  if (configMapKeyRef && !sources?.configMaps?.includes(configMapKeyRef.name ?? ''))
    return `variable ${JSON.stringify(name)} refers to ConfigMap ${JSON.stringify(configMapKeyRef.name)}, which envVarsSources.configMaps of the template does not list`
  return undefined
}

function asPodEnv({ name, value, valueFrom }: ClaimEnvVar): EnvVar {
  return valueFrom ? { name, valueFrom: valueFrom as NonNullable<EnvVar['valueFrom']> } : { name, value: value ?? '' }
}

function rejected(message: string): Rejection {
  return { rejected: message }
}
