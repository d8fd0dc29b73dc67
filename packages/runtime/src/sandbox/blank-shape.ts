import { stat } from 'node:fs/promises'
import type { ContainerSpec, Mount, SandboxSpec } from '../runtime.ts'

/** What has to be the same of a sandbox made ahead and of what comes into it. */
export interface BlankShape {
  image: { name: string; id: string }
  network: SandboxSpec['network']['kind']
  stdin: boolean
  privileged: boolean
  readOnlyRootfs: boolean
  /** Where its first process began; absent where that is as its image says. */
  cwd?: string
  mounts: Array<Pick<Mount, 'destination' | 'kind' | 'readOnly' | 'sizeBytes'> & { isFile: boolean }>
}

/** @param imageId of the image that it runs on */
export async function blankShape(
  sandbox: Pick<SandboxSpec, 'network'>,
  container: ContainerSpec,
  imageId: string,
): Promise<BlankShape> {
  const { image, stdin, privileged, readOnlyRootfs, cwd, mounts } = container
  return {
    image: { name: image, id: imageId },
    network: sandbox.network.kind,
    stdin,
    privileged,
    readOnlyRootfs,
    ...(cwd !== '' && { cwd }),
    mounts: await Promise.all(
      mounts.map(async ({ destination, kind, readOnly, sizeBytes, source = '' }) => ({
        destination,
        kind,
        readOnly,
        ...(sizeBytes !== undefined && { sizeBytes }),
        isFile: kind === 'bind' && !(await stat(source)).isDirectory(),
      })),
    ),
  }
}

/** Shapes with the same one can take each other's place. */
export function shapeKey(shape: BlankShape): string {
  return JSON.stringify(shape)
}
