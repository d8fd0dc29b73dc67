/** Finds a container's image in the local store, which is all there is: nothing is pulled. */
import { HOST_IMAGE, type Image, type Runtime } from '@caisson/runtime'
import type { Container } from 'kubernetes-types/core/v1.d.ts'

export type ImageOutcome =
  | { kind: 'present'; image: Image; event: { type: 'Normal'; reason: string; message: string } }
  /** `reason` is the one of the container's waiting state. */
  | {
      kind: 'missing'
      reason: 'ErrImagePull' | 'ErrImageNeverPull' | 'InvalidImageName'
      message: string
      events: Array<{ type: 'Normal' | 'Warning'; reason: string; message: string }>
    }

export async function ensureImage(container: Container, images: Pick<Runtime['images'], 'get'>): Promise<ImageOutcome> {
  const name = container.image ?? ''
  const quoted = JSON.stringify(name)
  const policy = container.imagePullPolicy ?? 'IfNotPresent'
  let image: Image | undefined
  try {
    image = await images.get(name)
  } catch (error) {
    const message = `Failed to apply default image tag ${quoted}: ${(error as Error).message}`
    const events = [{ type: 'Warning' as const, reason: 'InspectFailed', message }]
    return { kind: 'missing', reason: 'InvalidImageName', message, events }
  }
  if (image) {
    const message =
      policy === 'Always' && image.name !== HOST_IMAGE
        ? `Container image ${quoted} already present on machine; it was not pulled again, as imagePullPolicy Always asks: this node uses its local image store alone`
        : `Container image ${quoted} already present on machine`
    return { kind: 'present', image, event: { type: 'Normal', reason: 'Pulled', message } }
  }
  if (policy === 'Never') {
    const message = `Container image ${quoted} is not present with pull policy of Never`
    return {
      kind: 'missing',
      reason: 'ErrImageNeverPull',
      message,
      events: [{ type: 'Warning', reason: 'ErrImageNeverPull', message }],
    }
  }
  const message = `image ${quoted} is not in the local image store, and this node pulls from no registry: import it with "caisson image import FILE"`
  return {
    kind: 'missing',
    reason: 'ErrImagePull',
    message,
    events: [{ type: 'Warning', reason: 'Failed', message: `Failed to pull image ${quoted}: ${message}` }],
  }
}
