import { RuntimeError, type RuntimeHandler } from '../runtime.ts'
import { findTool } from '../tools/tools.ts'
import { createOciDriver, type OciDriver } from './oci-driver.ts'

const HANDLERS: readonly RuntimeHandler[] = ['runsc', 'runc', 'crun']

export interface Drivers {
  /** Rejects with code `runtime-missing` where the binary is not there: nothing else is used in its place. */
  get(handler: RuntimeHandler): Promise<OciDriver>
  /** Those whose binary was found. */
  available(): Promise<OciDriver[]>
}

export interface DriversOptions {
  stateDirectory: string
  toolsDirectory: string
  /** Without root on this machine: then only a sentry keeps what it runs from the user's own rights. */
  unprivileged: boolean
}

export function createDrivers(options: DriversOptions): Drivers {
  const offered = options.unprivileged ? HANDLERS.filter((handler) => handler === 'runsc') : HANDLERS
  const found = new Map<RuntimeHandler, Promise<OciDriver | undefined>>()

  function find(handler: RuntimeHandler): Promise<OciDriver | undefined> {
    const known = found.get(handler)
    if (known) return known
    const search = (async () => {
      const tool = await findTool(handler, options.toolsDirectory)
      // Looked for again next time: it may be installed while we run.
      if (!tool) found.delete(handler)
      return tool && (await createOciDriver(handler, tool, options.stateDirectory))
    })()
    found.set(handler, search)
    search.catch(() => found.delete(handler))
    return search
  }

  return {
    async get(handler) {
      if (!HANDLERS.includes(handler)) {
        throw new RuntimeError(
          'runtime-missing',
          `${JSON.stringify(handler)} is none of the handlers ${HANDLERS.join(', ')}`,
        )
      }
      if (!offered.includes(handler))
        throw new RuntimeError(
          'runtime-missing',
          `${handler} needs control groups and devices, which are root's to give: run the node as root, or the Pod under gVisor`,
        )
      const driver = await find(handler)
      if (driver) return driver
      const way = handler === 'runsc' ? 'run "caisson doctor --fix"' : `install ${handler} so that it is in PATH`
      throw new RuntimeError('runtime-missing', `${handler} was not found among this node's tools nor in PATH: ${way}`)
    },
    async available() {
      return (await Promise.all(offered.map(find))).filter((driver) => driver !== undefined)
    },
  }
}
