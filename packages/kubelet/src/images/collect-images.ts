/** Keeps the disk from filling up with images that nobody uses, as kubelet does. */
import type { EventInput } from '@caisson/client'
import type { ImageStore } from '@caisson/runtime'

export interface ImageCollector extends AsyncDisposable {
  /** Something came that may be too much. Resolves when what can go has gone. */
  look(): Promise<void>
}

/** kubelet's defaults; and since anybody makes small images without end, more of them than a node has use for. */
const POLICY = { highPercent: 85, lowPercent: 80, minAgeMs: 120_000, maxImages: 2_048 }
/** The disk fills up with other things too, of which nobody tells. */
const PERIOD_MS = 300_000

export interface ImageCollectorOptions {
  images: Pick<ImageStore, 'collect'>
  /** Of all images together. */
  maxBytes: number | undefined
  /** About the node. */
  record(event: EventInput): void
  onError(error: unknown, where: string): void
}

export function startImageCollector({ images, maxBytes, record, onError }: ImageCollectorOptions): ImageCollector {
  let running: Promise<void> | undefined
  async function collect(): Promise<void> {
    try {
      const { missingBytes } = await images.collect({ ...POLICY, ...(maxBytes !== undefined && { maxBytes }) })
      if (missingBytes > 0)
        record({
          type: 'Warning',
          reason: 'FreeDiskSpaceFailed',
          message: `Failed to garbage collect required amount of images: ${Math.ceil(missingBytes)} bytes more had to be freed, and no unused image is left that could be pulled again`,
        })
    } catch (error) {
      onError(error, 'collecting images')
    }
  }
  const look = (): Promise<void> =>
    (running ??= collect().finally(() => {
      running = undefined
    }))
  const timer = setInterval(() => void look(), PERIOD_MS)
  void look()
  return {
    look,
    async [Symbol.asyncDispose]() {
      clearInterval(timer)
      await running
    },
  }
}
