import { type OciHandler, type RuntimeHandler, type ShimHandler } from '../runtime.ts'
import { RuntimeError } from '../runtime-error.ts'
import { virtualisationProblem } from '../tools/hardware.ts'
import type { RunCommand } from '../tools/run-command.ts'
import { findTool } from '../tools/tools.ts'
import { isShim, SHIMS } from './handlers.ts'
import { createOciDriver, type OciDriver } from './oci-driver.ts'
import { createShimDriver, type ShimDriver } from './shim-driver.ts'

export type Driver = OciDriver | ShimDriver

const OCI_HANDLERS: readonly OciHandler[] = ['runsc', 'runc', 'crun']

const HANDLERS: readonly RuntimeHandler[] = [...OCI_HANDLERS, ...(Object.keys(SHIMS) as ShimHandler[])]

export interface Drivers {
  /** Rejects with code `runtime-missing` where the binary is not there: nothing else is used in its place. */
  get(handler: RuntimeHandler): Promise<Driver>
  /** As `get`, of a runtime with a command line. */
  sentry(handler: RuntimeHandler): Promise<OciDriver>
  /** Undefined where the binary is not there. It is looked for in all of PATH each time until it is. */
  find(handler: RuntimeHandler): Promise<Driver | undefined>
  /** Those that work here; each that does not is looked for in all of PATH. */
  available(): Promise<Driver[]>
}

export interface DriversOptions {
  stateDirectory: string
  toolsDirectory: string
  /** Without root on this machine: then only a sentry keeps what it runs from the user's own rights. */
  unprivileged: boolean
  /** Starts a runtime where it takes something away. */
  run: RunCommand
}

export function createDrivers(options: DriversOptions): Drivers {
  const found = new Map<RuntimeHandler, Promise<Driver | undefined>>()

  async function search(handler: RuntimeHandler): Promise<Driver | undefined> {
    if (isShim(handler)) return await searchShim(handler)
    const tool = await findTool(handler, options.toolsDirectory)
    return tool && (await createOciDriver(handler, tool, options))
  }

  async function searchShim(handler: ShimHandler): Promise<ShimDriver | undefined> {
    const { programs, isVirtual } = SHIMS[handler]
    for (const name of programs) {
      const tool = await findTool(name, options.toolsDirectory)
      if (tool) return createShimDriver({ ...options, handler, tool, isVirtual })
    }
    return undefined
  }

  function find(handler: RuntimeHandler): Promise<Driver | undefined> {
    const known = found.get(handler)
    if (known) return known
    const searched = search(handler).then((driver) => {
      // Looked for again next time: it may be installed while we run.
      if (!driver) found.delete(handler)
      return driver
    })
    found.set(handler, searched)
    searched.catch(() => found.delete(handler))
    return searched
  }

  /** Why it cannot run here even where it is installed. */
  function problemOf(handler: RuntimeHandler): string | undefined {
    if (options.unprivileged && handler !== 'runsc')
      return `${handler} needs control groups and devices, which are root's to give: run the node as root, or the Pod under gVisor`
    const problem = isShim(handler) && SHIMS[handler].isVirtual ? virtualisationProblem() : undefined
    return problem && `${handler} runs virtual machines, which this machine cannot: ${problem}. gVisor needs none of it`
  }

  async function get(handler: RuntimeHandler): Promise<Driver> {
    if (!HANDLERS.includes(handler))
      throw new RuntimeError(
        'runtime-missing',
        `${JSON.stringify(handler)} is none of the handlers ${HANDLERS.join(', ')}`,
      )
    const problem = problemOf(handler)
    if (problem !== undefined) throw new RuntimeError('runtime-missing', problem)
    const driver = await find(handler)
    if (driver) return driver
    const program = isShim(handler) ? SHIMS[handler].programs.join(' or ') : handler
    const way = handler === 'runsc' ? 'run "caisson doctor --fix"' : `install ${program} so that it is in PATH`
    throw new RuntimeError('runtime-missing', `${program} was not found among this node's tools nor in PATH: ${way}`)
  }

  return {
    get,
    find,
    async sentry(handler) {
      const driver = await get(handler)
      if (driver.kind === 'oci') return driver
      throw new RuntimeError('failed', `${handler} has no sentry`)
    },
    async available() {
      const able = HANDLERS.filter((handler) => problemOf(handler) === undefined)
      return (await Promise.all(able.map(find))).filter((driver) => driver !== undefined)
    },
  }
}
