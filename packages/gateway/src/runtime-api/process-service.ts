/** `process.v1.ProcessService`, sandboxd's gRPC API on port 9090. A process lives as long as the call that began it. */
import type { IncomingHttpHeaders, ServerHttp2Stream } from 'node:http2'
import type { Readable } from 'node:stream'
import type { Client } from '@caisson/client'
import { GRPC, GrpcError } from '../proxy/grpc-status.ts'
import type { SandboxPod } from '../routing/sandbox-pods.ts'
import { ExecError } from './exec-error.ts'
import { SANDBOXD_BASE } from './file-service.ts'
import { answerCall, type GrpcCall } from './grpc-call.ts'
import type { Hold } from './held-bytes.ts'
import {
  decodeExecute,
  decodeResize,
  decodeSendSignal,
  decodeStart,
  decodeWriteStdin,
  executeResponse,
  type ProcessConfig,
  startEvents,
} from './process-messages.ts'
import { type CommandOptions, type SandboxProcess, StartError, startProcess } from './processes.ts'
import { ProtobufError } from './protobuf.ts'
import { collect } from './run-in-pod.ts'
import { sandboxPath } from './sandbox-path.ts'

export const PROCESS_PORT = 9090

export interface ProcessService {
  /** Never rejects. */
  serve(
    stream: ServerHttp2Stream,
    headers: IncomingHttpHeaders,
    call: { pod: SandboxPod; path: string; client: string | undefined },
  ): Promise<void>
}

const SIGNALS: Readonly<Record<number, 'INT' | 'TERM' | 'KILL'>> = { 2: 'INT', 9: 'KILL', 15: 'TERM' }
const LARGEST_PROCESS_ID = 2 ** 31 - 1

export function createProcessService(client: Client, hold: Hold): ProcessService {
  /** Of all sandboxes, by the Pod's UID and the number: nobody signals another sandbox's. */
  const processes = new Map<string, SandboxProcess & { terminal: boolean }>()
  let lastId = 0

  function find(pod: SandboxPod, id: number): SandboxProcess & { terminal: boolean } {
    const process = processes.get(`${pod.uid}/${id}`)
    if (!process) throw new GrpcError(GRPC.notFound, `process ${id} not found`)
    return process
  }

  async function execute(call: GrpcCall, pod: SandboxPod): Promise<void> {
    const config = decodeExecute(await call.request())
    await using process = await start(pod, config, { stdin: false, signal: call.signal })
    const [exitCode, stdout, stderr] = await Promise.all([
      process.exit,
      collect(process.stdout, call.held),
      process.stderr ? collect(process.stderr, call.held) : Buffer.alloc(0),
    ])
    await call.send(executeResponse(exitCode, stdout, stderr))
  }

  async function startAndFollow(call: GrpcCall, pod: SandboxPod): Promise<void> {
    const { config, terminal } = decodeStart(await call.request())
    const size = terminal && { columns: terminal.columns || 80, rows: terminal.rows || 24 }
    await using process = await start(pod, config, { stdin: true, terminal: size, signal: call.signal })
    lastId = (lastId % LARGEST_PROCESS_ID) + 1
    const id = lastId
    const key = `${pod.uid}/${id}`
    // Before its client hears of it, which may write to it at once.
    processes.set(key, { ...process, terminal: terminal !== undefined })
    try {
      await call.send(startEvents.init(id))
      const [exitCode] = await Promise.all([
        process.exit,
        pass(process.stdout, (chunk) => call.send(startEvents.stdout(chunk))),
        pass(process.stderr, (chunk) => call.send(startEvents.stderr(chunk))),
      ])
      await call.send(startEvents.exit(exitCode))
    } finally {
      processes.delete(key)
    }
  }

  function start(
    pod: SandboxPod,
    { command, env, workingDirectory }: ProcessConfig,
    options: Pick<CommandOptions, 'stdin' | 'terminal' | 'signal'>,
  ): Promise<SandboxProcess> {
    if (command.length === 0) throw new GrpcError(GRPC.invalidArgument, 'command is required')
    const directory = sandboxPath(relativeTo(SANDBOXD_BASE, workingDirectory))
    if (directory === undefined)
      throw new GrpcError(GRPC.permissionDenied, `cwd: ${JSON.stringify(workingDirectory)} leads out of the sandbox's`)
    const args = { args: command, env, workingDirectory: directory, usualBase: SANDBOXD_BASE }
    return startProcess(client, pod, { ...args, ...options })
  }

  const METHODS: Readonly<Record<string, (call: GrpcCall, pod: SandboxPod) => Promise<void>>> = {
    Execute: execute,
    Start: startAndFollow,
    async WriteStdin(call, pod) {
      const { processId, input } = decodeWriteStdin(await call.request())
      const { stdin } = find(pod, processId)
      if (!stdin || stdin.destroyed || stdin.writableEnded)
        throw new GrpcError(GRPC.failedPrecondition, `process ${processId} has no stdin any more`)
      if (input === undefined) stdin.end()
      else if (input.length > 0) await written(stdin, input)
      await call.send(Buffer.alloc(0))
    },
    async SendSignal(call, pod) {
      const { processId, signal } = decodeSendSignal(await call.request())
      const process = find(pod, processId)
      const name = SIGNALS[signal]
      if (name === undefined) throw new GrpcError(GRPC.invalidArgument, `unsupported or unspecified signal: ${signal}`)
      await process.kill(name)
      await call.send(Buffer.alloc(0))
    },
    async ResizeTTY(call, pod) {
      const { processId, columns, rows } = decodeResize(await call.request())
      const process = find(pod, processId)
      if (!process.terminal) throw new GrpcError(GRPC.failedPrecondition, `process ${processId} has no terminal`)
      process.resize({ columns, rows })
      await call.send(Buffer.alloc(0))
    },
  }

  return {
    async serve(stream, headers, { pod, path, client }) {
      using held = hold(client)
      await answerCall(stream, { headers, held }, async (call) => {
        const [, name = ''] = /^\/process\.v1\.ProcessService\/([A-Za-z]+)$/.exec(path) ?? []
        const method = Object.hasOwn(METHODS, name) ? METHODS[name] : undefined
        if (!method) throw new GrpcError(GRPC.unimplemented, `there is no method ${path}`)
        try {
          await method(call, pod)
        } catch (error) {
          throw grpcErrorOf(error)
        }
      })
    },
  }
}

/** Absolute ones may be meant from the base directory on. */
function relativeTo(base: string, path: string): string {
  return path === base || path.startsWith(`${base}/`) ? path.slice(base.length) : path
}

async function pass(stream: Readable | undefined, send: (chunk: Buffer) => Promise<void>): Promise<void> {
  if (!stream) return
  for await (const chunk of stream as AsyncIterable<Buffer>) await send(chunk)
}

function written(stdin: NonNullable<SandboxProcess['stdin']>, input: Buffer): Promise<void> {
  return new Promise((resolve, reject) => {
    stdin.write(input, (error) =>
      error ? reject(new GrpcError(GRPC.failedPrecondition, 'the process reads no more')) : resolve(),
    )
  })
}

const START_CODES = {
  escape: GRPC.permissionDenied,
  workdir: GRPC.notFound,
  command: GRPC.notFound,
  base: GRPC.permissionDenied,
} as const

const EXEC_CODES = {
  'no-shell': GRPC.failedPrecondition,
  refused: GRPC.unavailable,
  'too-large': GRPC.resourceExhausted,
  busy: GRPC.resourceExhausted,
  failed: GRPC.internal,
} as const

function grpcErrorOf(error: unknown): unknown {
  if (error instanceof StartError) return new GrpcError(START_CODES[error.code], error.message)
  if (error instanceof ExecError) return new GrpcError(EXEC_CODES[error.code], error.message)
  if (error instanceof ProtobufError || error instanceof TypeError)
    return new GrpcError(GRPC.invalidArgument, error.message)
  return error
}
