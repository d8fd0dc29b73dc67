import { createHash } from 'node:crypto'
import { existsSync, rmSync } from 'node:fs'
import { mkdir, symlink } from 'node:fs/promises'
import { delimiter, dirname, join } from 'node:path'
import type { CommandLine } from '../monitor/protocol.ts'
import { type RuntimeHandler } from '../runtime.ts'
import { RuntimeError } from '../runtime-error.ts'
import { withEvents } from '../shim/events.ts'
import { connectToTask, readAddress, SHIM_ADDRESS_FILE, type TaskService } from '../shim/task-service.ts'
import { runCommand } from '../tools/run-command.ts'
import { type Tool, toolEnvironment } from '../tools/tools.ts'

/** A runtime behind containerd's shim protocol, version 2: the driver of those that have no command line. */
export interface ShimDriver {
  kind: 'shim'
  handler: RuntimeHandler
  tool: Tool
  isSentry: false
  platform: undefined
  ownsCgroups: true
  /** Whether process ids that it gives are the machine's: not those of a virtual machine. */
  hostPids: boolean
  /** Where its events go. */
  events: string
  runcRoot: string | undefined
  /** What starts the shim of a container, or finds the one that its sandbox has. */
  startCommand(ociId: string, directory: string): CommandLine
  remove(ociId: string, directory: string): Promise<void>
}

const REMOVAL_MS = 30_000
const SIGKILL = 9
const RUN_DIRECTORY = '/run/caisson'

function tagOf(stateDirectory: string): string {
  return createHash('sha256').update(stateDirectory).digest('hex').slice(0, 6)
}

/** Where the events of all shims of a state directory go. The path fits into a socket's address, wherever that directory is. */
export function shimEvents(stateDirectory: string): string {
  return join(RUN_DIRECTORY, `shims-${tagOf(stateDirectory)}.sock`)
}

export interface ShimDriverOptions {
  handler: RuntimeHandler
  tool: Tool
  stateDirectory: string
  toolsDirectory: string
  /** A virtual machine for each sandbox. */
  isVirtual: boolean
}

export function createShimDriver(options: ShimDriverOptions): ShimDriver {
  const { handler, tool, stateDirectory, isVirtual } = options
  const tag = tagOf(stateDirectory)
  const events = shimEvents(stateDirectory)
  const { PATH = '', ...rest } = toolEnvironment(tool)
  const env: Record<string, string> = {
    ...(rest as Record<string, string>),
    // It calls the OCI runtime by its name.
    PATH: [join(options.toolsDirectory, 'bin'), PATH].join(delimiter),
    TTRPC_ADDRESS: events,
    MAX_SHIM_VERSION: '3',
  }
  const command = (action: string, ociId: string, directory: string): CommandLine => ({
    program: tool.path,
    args: ['-namespace', `caisson-${tag}`, '-address', events, '-publish-binary', '/bin/true', '-id', ociId]
      .concat(action === 'delete' ? ['-bundle', directory] : [])
      .concat(action),
    env,
  })

  /** For a shim that is gone: another one takes apart what it left. */
  async function removeWithoutShim(ociId: string, directory: string): Promise<void> {
    // It takes the directory beside its own that is called as the container for the bundle.
    const link = join(directory, 'bundle', ociId)
    await mkdir(dirname(link), { recursive: true, mode: 0o700 })
    await symlink(directory, link).catch(() => {})
    const { program, args } = command('delete', ociId, directory)
    const signal = AbortSignal.timeout(REMOVAL_MS)
    const { exitCode, stderr } = await withEvents(events, () =>
      runCommand(program, args, { env: { ...env, PWD: link }, cwd: directory, signal }),
    )
    if (exitCode !== 0 && !/does not exist|no such file/i.test(stderr))
      throw new RuntimeError('failed', `${tool.name} could not remove container ${ociId}: ${stderr.trim()}`)
    rmSync(readAddress(directory).path, { force: true })
  }

  return {
    kind: 'shim',
    handler,
    tool,
    isSentry: false,
    platform: undefined,
    ownsCgroups: true,
    hostPids: !isVirtual,
    events,
    runcRoot: isVirtual ? undefined : join(stateDirectory, handler),
    startCommand: (ociId, directory) => command('start', ociId, directory),
    async remove(ociId, directory) {
      if (!existsSync(join(directory, SHIM_ADDRESS_FILE))) return
      let task: TaskService
      try {
        task = await connectToTask(directory)
      } catch {
        return removeWithoutShim(ociId, directory)
      }
      const { path } = readAddress(directory)
      using service = task
      // Each fails where it has been done already, or never will have to be.
      await service.kill({ id: ociId, signal: SIGKILL, all: true }).catch(() => {})
      await service.wait({ id: ociId }).catch(() => {})
      await service.delete({ id: ociId }).catch(() => {})
      await service.shutdown(ociId).catch(() => {})
      if (await isGone(directory)) rmSync(path, { force: true })
    },
  }
}

/** Whether the shim went, as it does with its last container. */
async function isGone(directory: string): Promise<boolean> {
  try {
    using _ = await connectToTask(directory)
    return false
  } catch {
    return true
  }
}
