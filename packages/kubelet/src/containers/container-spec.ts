/** Turns a container of a Pod into what the runtime is asked to run. */
import { mkdir } from 'node:fs/promises'
import { dirname } from 'node:path'
import type { PodObject } from '@caisson/client'
import { type ContainerSpec, type Image, parseReference, type Runtime, repositoryOf } from '@caisson/runtime'
import type { Container } from 'kubernetes-types/core/v1.d.ts'
import type { PodDirectories } from '../pod-directories.ts'
import type { PodSources } from '../pod-sources.ts'
import { containerLimits } from '../pods/pod-limits.ts'
import type { PreparedVolume } from '../volumes/prepare-volumes.ts'
import { ConfigError } from './config-error.ts'
import { containerMounts } from './container-mounts.ts'
import type { PodPlace } from './downward-api.ts'
import { containerEnvironment } from './environment.ts'
import { expandCommand } from './expand-variables.ts'
import { containerSecurity } from './security.ts'
import { makeTerminationMessage } from './termination-message.ts'

/** What the runtime keeps for us about a container, so that a new agent knows what an old one started. */
export const CONTAINER_LABELS = {
  name: 'name',
  restartCount: 'restart-count',
  /** ms. */
  backOff: 'back-off',
  imageId: 'image-id',
} as const

export interface ContainerSpecOptions {
  id: string
  sandboxId: string
  /** Of a container that is put into a Pod that runs. */
  company: Pick<ContainerSpec, 'beside' | 'processesOf'>
  restartCount: number
  backOffMs: number
  image: Image
  images: Pick<Runtime['images'], 'resolveUser'>
  volumes: ReadonlyMap<string, PreparedVolume>
  sources: PodSources
  place: PodPlace
  directories: PodDirectories
}

/** Throws a ConfigError where the Pod's configuration does not allow for it. */
export async function containerSpec(
  pod: PodObject,
  container: Container,
  options: ContainerSpecOptions,
): Promise<ContainerSpec> {
  const { id, sandboxId, restartCount, backOffMs, image, directories } = options
  const { namespace = '', name = '', uid = '' } = pod.metadata
  const terminationMessage = directories.terminationMessage(uid, container.name, restartCount)
  const logPath = directories.log({ namespace, name, uid }, container.name, restartCount)
  const [environment, security] = await Promise.all([
    containerEnvironment(pod, container, options),
    containerSecurity(pod, container, options),
    makeTerminationMessage(terminationMessage, restartCount),
    mkdir(dirname(logPath), { recursive: true, mode: 0o700 }),
  ])
  const mounts = await containerMounts(pod, container, { ...options, environment, terminationMessage })
  const args = commandLine(container, image, environment)
  if (args.length === 0) {
    throw new ConfigError(
      `image ${JSON.stringify(container.image)} names no command, and container ${JSON.stringify(container.name)} neither: set its command`,
    )
  }
  return {
    id,
    sandboxId,
    name: container.name,
    ...options.company,
    image: image.name,
    imageId: image.id,
    args,
    env: Object.fromEntries(environment),
    cwd: container.workingDir || image.workingDir,
    ...security,
    mounts,
    limits: containerLimits(container),
    tty: container.tty ?? false,
    stdin: container.stdin ?? false,
    stdinOnce: container.stdinOnce ?? false,
    logPath,
    labels: {
      [CONTAINER_LABELS.name]: container.name,
      [CONTAINER_LABELS.restartCount]: String(restartCount),
      [CONTAINER_LABELS.backOff]: String(backOffMs),
      [CONTAINER_LABELS.imageId]: pulledAs(image) ?? image.id,
    },
  }
}

/** As it was pulled from where its name says, which is how others name what they run. */
function pulledAs({ name, repoDigests }: Image): string | undefined {
  const repository = repositoryOf(parseReference(name))
  return repoDigests.find((digest) => digest.startsWith(`${repository}@`))
}

/** `command` replaces the image's entrypoint and its arguments, `args` the arguments alone. */
function commandLine(container: Container, image: Image, environment: ReadonlyMap<string, string>): string[] {
  const expand = (parts: readonly string[]): string[] => expandCommand(parts, (name) => environment.get(name))
  const { command = [], args = [] } = container
  if (command.length > 0) return expand([...command, ...args])
  return [...image.entrypoint, ...(args.length > 0 ? expand(args) : image.cmd)]
}
