import { join } from 'node:path'
import type { RegistryConfig } from '../registry/registry-config.ts'
import type { ImageStore } from '../runtime.ts'
import { type ImagesKept, usedImages } from '../sandbox/state-files.ts'
import { prepareHostRootfs } from './host-image.ts'
import { openImageLibrary } from './image-store.ts'

/**
 * The images of a runtime's state directory, without its containers: for commands that run beside the process that has
 * the runtime open, or where there is none.
 */
export function openImageStore(
  stateDirectory: string,
  options: { registries?: RegistryConfig | undefined; imagesKept?: ImagesKept } = {},
): Promise<ImageStore> {
  const directory = join(stateDirectory, 'images')
  return openImageLibrary(directory, {
    hostRootfs: async () => (await prepareHostRootfs(join(directory, 'host'))).path,
    inUse: () => usedImages(stateDirectory, options.imagesKept),
    registries: options.registries,
  })
}
