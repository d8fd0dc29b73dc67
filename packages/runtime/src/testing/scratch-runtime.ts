import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import { createRuntime } from '../create-runtime.ts'
import type { RuntimeOptions } from '../open-parts.ts'
import type { Container, ContainerSpec, ExecSpec, ExitStatus, Runtime, SandboxSpec } from '../runtime.ts'
import { installTools } from '../tools/install-tools.ts'
import { defaultToolsDirectory, type PackagedTool } from '../tools/tools.ts'

/** A runtime in a directory of its own; disposing of it leaves no process, mount, namespace or file behind. */
export interface ScratchRuntime extends AsyncDisposable {
  runtime: Runtime
  stateDirectory: string
  toolsDirectory: string
  /** A container that has ended, also where it did so before this was called. */
  exitOf(containerId: string): Promise<Container>
}

export async function createScratchRuntime(
  options: Partial<RuntimeOptions> & { tools?: PackagedTool[] } = {},
): Promise<ScratchRuntime> {
  const toolsDirectory = defaultToolsDirectory()
  await installTools(toolsDirectory, { tools: options.tools ?? ['runsc'] })
  const stateDirectory = options.stateDirectory ?? (await mkdtemp(join(tmpdir(), 'caisson-runtime-')))
  const runtime = await createRuntime({ toolsDirectory, ...options, stateDirectory })
  await runtime.recover()
  return {
    runtime,
    stateDirectory,
    toolsDirectory,
    async exitOf(id) {
      const { promise, resolve } = Promise.withResolvers<Container>()
      using _ = runtime.onExit((container) => {
        if (container.spec.id === id) resolve(container)
      })
      for (const { containers } of await runtime.list()) {
        const found = containers.find(({ spec }) => spec.id === id)
        if (found?.state.phase === 'exited') return found
      }
      return await promise
    },
    async [Symbol.asyncDispose]() {
      for (const { spec } of await runtime.list()) await runtime.removeSandbox(spec.id)
      await runtime[Symbol.asyncDispose]()
      await rm(stateDirectory, { recursive: true, force: true })
    },
  }
}

export function sandboxSpec(id: string, changes: Partial<SandboxSpec> = {}): SandboxSpec {
  return {
    id,
    handler: 'runsc',
    hostname: 'sandbox',
    network: { kind: 'none' },
    shared: false,
    limits: {},
    labels: {},
    ...changes,
  }
}

export function containerSpec(
  scratch: ScratchRuntime,
  id: string,
  changes: Partial<ContainerSpec> & { sandboxId: string },
): ContainerSpec {
  return {
    id,
    image: 'caisson.dev/host',
    args: [],
    env: {},
    cwd: '/',
    user: { uid: 0, gid: 0, additionalGids: [] },
    mounts: [],
    readOnlyRootfs: false,
    noNewPrivileges: true,
    capabilities: [],
    privileged: false,
    limits: {},
    tty: false,
    stdin: false,
    stdinOnce: false,
    logPath: join(scratch.stateDirectory, `${id}.log`),
    labels: {},
    ...changes,
  }
}

/** Lets a sandbox send and receive whatever a Pod may that no policy isolates. */
export async function openNetwork(runtime: Runtime, sandboxId: string): Promise<string> {
  const ip = (await runtime.get(sandboxId))?.ip ?? ''
  const elements = [
    { set: 'egress', key: ip, value: 'goto open' },
    { set: 'ingress', key: ip, value: 'accept' },
  ]
  await runtime.network.change(new Map([[sandboxId, { elements }]]))
  return ip
}

/** Runs a command in a container and collects what it says. */
export async function execText(
  runtime: Runtime,
  containerId: string,
  args: string[],
  changes: Partial<ExecSpec> = {},
): Promise<{ stdout: string; stderr: string; exit: ExitStatus }> {
  await using streams = await runtime.exec(containerId, { args, env: {}, tty: false, stdin: false, ...changes })
  const [stdout, stderr, exit] = await Promise.all([
    text(streams.stdout),
    streams.stderr ? text(streams.stderr) : '',
    streams.exit,
  ])
  return { stdout, stderr, exit }
}

/** The text of a log in CRI's format, without its times. */
export function logText(log: string): string[] {
  return log
    .trimEnd()
    .split('\n')
    .map((line) => line.slice(line.indexOf(' ') + 1))
}
