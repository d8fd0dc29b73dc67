/** A container's environment: its Services, what it takes over from ConfigMaps and Secrets, and what it states itself. */
import type { PodObject } from '@caisson/client'
import type { Container, EnvVarSource } from 'kubernetes-types/core/v1.d.ts'
import type { ConfigMapObject, PodSources, SecretObject } from '../pod-sources.ts'
import { specOf } from '../pods/observed-pod.ts'
import { claimedEnvironment } from './claimed-environment.ts'
import { ConfigError } from './config-error.ts'
import { fieldValue, type PodPlace, resourceValue } from './downward-api.ts'
import { expandVariables } from './expand-variables.ts'
import { serviceVariables } from './service-variables.ts'

/** The Services that every Pod of a cluster is told of. */
const CLUSTER_NAMESPACE = 'default'
const CLUSTER_SERVICE = 'kubernetes'

export interface EnvironmentOptions {
  sources: Pick<PodSources, 'configMap' | 'secret' | 'services'>
  place: PodPlace
}

/** As much as Linux lets a program be started with, environment and arguments together. What is replaced counts too. */
const LARGEST_ENVIRONMENT = 2 * 1024 * 1024

/** Throws a ConfigError where something that is not optional is missing. */
export async function containerEnvironment(
  pod: PodObject,
  container: Container,
  options: EnvironmentOptions,
): Promise<Map<string, string>> {
  const { sources, place } = options
  const namespace = pod.metadata.namespace ?? ''
  const fromServices = new Map<string, string>()
  const environment = new Map<string, string>()

  let size = 0
  function charge(name: string, value: string, remedy = ''): void {
    size += name.length + value.length
    if (size > LARGEST_ENVIRONMENT)
      throw new ConfigError(`the environment is larger than ${LARGEST_ENVIRONMENT} characters${remedy}`)
  }
  function set(name: string, value: string): void {
    charge(name, value)
    environment.set(name, value)
  }

  for (const [name, value] of serviceVariables(servicesFor(pod, sources))) {
    charge(name, value, ': enableServiceLinks: false keeps the variables of Services out of it')
    fromServices.set(name, value)
  }

  for (const { prefix = '', configMapRef, secretRef } of container.envFrom ?? []) {
    const data = configMapRef
      ? configMapData(await sources.configMap(namespace, configMapRef.name ?? ''), configMapRef)
      : secretData(await sources.secret(namespace, secretRef?.name ?? ''), secretRef ?? {})
    const valueOf = configMapRef ? (text: string) => text : secretValue
    for (const [name, text] of Object.entries(data)) set(prefix + name, valueOf(text))
  }

  for (const { name, value, valueFrom } of container.env ?? []) {
    const resolved = value
      ? expandVariables(value, (other) => environment.get(other) ?? fromServices.get(other))
      : valueFrom
        ? await resolve(valueFrom)
        : ''
    if (resolved !== undefined) set(name, resolved)
  }

  async function resolve(source: EnvVarSource): Promise<string | undefined> {
    if (source.fieldRef) return fieldValue(pod, source.fieldRef, place)
    if (source.resourceFieldRef) return resourceValue(pod, source.resourceFieldRef, { container, place })
    if (source.configMapKeyRef) {
      const { key, name = '', optional } = source.configMapKeyRef
      const data = configMapData(await sources.configMap(namespace, name), source.configMapKeyRef)
      if (Object.hasOwn(data, key)) return data[key]
      if (optional) return undefined
      throw new ConfigError(`couldn't find key ${key} in ConfigMap ${namespace}/${name}`)
    }
    if (source.secretKeyRef) {
      const { key, name = '', optional } = source.secretKeyRef
      const data = secretData(await sources.secret(namespace, name), source.secretKeyRef)
      // The others are not decoded: there can be tens of thousands, and as many variables.
      if (Object.hasOwn(data, key)) return secretValue(data[key] ?? '')
      if (optional) return undefined
      throw new ConfigError(`couldn't find key ${key} in Secret ${namespace}/${name}`)
    }
    throw new ConfigError('the source of an environment variable is of a kind that this node does not know')
  }

  const claimed = Object.entries((await claimedEnvironment(pod, container.name, sources)) ?? {})
  for (const [name, value] of claimed) charge(name, value)
  // What the container states wins over what Services say, and its Sandbox's claim over both.
  return new Map([...fromServices, ...environment, ...claimed])
}

function servicesFor(pod: PodObject, sources: Pick<PodSources, 'services'>) {
  const namespace = pod.metadata.namespace ?? ''
  const cluster = sources.services(CLUSTER_NAMESPACE).filter(({ metadata }) => metadata.name === CLUSTER_SERVICE)
  if (specOf(pod).enableServiceLinks === false) return cluster
  const own = sources.services(namespace)
  return [...cluster.filter(({ metadata }) => !own.some((service) => service.metadata.name === metadata.name)), ...own]
}

interface Reference {
  name?: string
  optional?: boolean
}

type Data = Readonly<Record<string, string>>

function configMapData(object: ConfigMapObject | undefined, { name, optional }: Reference): Data {
  if (object || optional) return object?.data ?? {}
  throw new ConfigError(`configmap ${JSON.stringify(name ?? '')} not found`)
}

/** As it is stored, in base64. */
function secretData(object: SecretObject | undefined, { name, optional }: Reference): Data {
  if (object || optional) return object?.data ?? {}
  throw new ConfigError(`secret ${JSON.stringify(name ?? '')} not found`)
}

function secretValue(base64: string): string {
  return Buffer.from(base64, 'base64').toString()
}
