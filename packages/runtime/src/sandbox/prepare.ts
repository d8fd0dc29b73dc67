import { join } from 'node:path'
import { prepareHostRootfs } from '../images/host-image.ts'
import { installNativePrograms } from '../native/native-programs.ts'
import type { Drivers } from './drivers.ts'
import { misjudgesNetworkNamespaces } from './oci-driver.ts'
import type { Prepared } from './runtime-parts.ts'
import { showHost } from './show-host.ts'

/**
 * Lays out what every container needs, once, and again when another runsc has turned up: the programs depend on what it gets
 * wrong.
 *
 * @param imagesDirectory of the store, below which the host image is
 */
export function createPreparation(
  drivers: Drivers,
  { stateDirectory, imagesDirectory }: { stateDirectory: string; imagesDirectory: string },
): () => Promise<Prepared> {
  let prepared: { for: string; done: Promise<Prepared> } | undefined

  async function prepareFor(runscVersion: string): Promise<Prepared> {
    const directory = join(stateDirectory, 'native')
    const host = await showHost(await prepareHostRootfs(join(imagesDirectory, 'host')), directory)
    const native = await installNativePrograms(directory, {
      coverNetworkSysctls: misjudgesNetworkNamespaces(runscVersion),
      // What a sentry's gofer would change of an image, it would change for everybody.
      shown: [{ source: imagesDirectory, target: imagesDirectory }, ...host.inLayout],
    })
    return { native, host }
  }

  return async () => {
    // Of no other: those that are not there would be looked for in all of PATH, some thirty times for each start.
    const version = (await drivers.find('runsc'))?.tool.version ?? ''
    if (prepared?.for === version) return prepared.done
    const begun = { for: version, done: prepareFor(version) }
    prepared = begun
    // Of what kept it from being laid out, such as a disk that was full, the next container may find nothing any more.
    begun.done.catch(() => {
      if (prepared === begun) prepared = undefined
    })
    return begun.done
  }
}
