/** containerd's task service, as its shims offer it: `api/runtime/task` of containerd 1.4 and newer. */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { decodeMessage, encodeMessage } from './protobuf.ts'
import { connectTtrpc, type TtrpcClient } from './ttrpc.ts'

/** File in a container's directory that says where its shim listens: what `start` of the shim printed. */
export const SHIM_ADDRESS_FILE = 'shim-address'

const PROCESS_TYPE = 'types.containerd.io/opencontainers/runtime-spec/1/Process'
const RUNC_OPTIONS_TYPE = 'containerd.runc.v1.Options'

/** Named pipes; empty for none. */
export interface TaskStreams {
  terminal: boolean
  stdin: string
  stdout: string
  stderr: string
}

/** A process of a container: its first one where `exec` is not given. */
export interface TaskProcess {
  id: string
  exec?: string
}

export interface TaskService extends Disposable {
  /** Resolves with the id of the first process, which waits for `start`. */
  create(options: { id: string; bundle: string; streams: TaskStreams; runcRoot: string | undefined }): Promise<number>
  exec(options: TaskProcess & { streams: TaskStreams; process: unknown }): Promise<void>
  /** Resolves with its id on this machine, or in its virtual one. */
  start(process: TaskProcess): Promise<number>
  /** Resolves with its exit code, 128 + n for signal n, once it has ended. */
  wait(process: TaskProcess): Promise<number>
  kill(process: TaskProcess & { signal: number; all?: boolean }): Promise<void>
  resize(process: TaskProcess & { columns: number; rows: number }): Promise<void>
  /** Of one that has ended. */
  delete(process: TaskProcess): Promise<void>
  /** The shim ends, unless it has other containers. */
  shutdown(id: string): Promise<void>
}

/** Rejects with code `not-found` where the shim of the container in `directory` is gone, or never was. */
export async function connectToTask(directory: string): Promise<TaskService> {
  const { path, service } = readAddress(directory)
  return taskService(await connectTtrpc(path), service)
}

/** One connection for one thing to do. */
export async function withTask<T>(directory: string, use: (task: TaskService) => Promise<T>): Promise<T> {
  using task = await connectToTask(directory)
  return await use(task)
}

/** Throws where there is no such file. Newer shims print an object, older ones the bare address. */
export function readAddress(directory: string): { path: string; service: string } {
  const said = readFileSync(join(directory, SHIM_ADDRESS_FILE), 'utf8').trim()
  const { address, version } = said.startsWith('{')
    ? (JSON.parse(said) as { address: string; version: number })
    : { address: said, version: 2 }
  return { path: address.replace(/^unix:\/\//, ''), service: `containerd.task.v${version}.Task` }
}

function taskService(client: TtrpcClient, service: string): TaskService {
  const call = async (method: string, fields: Parameters<typeof encodeMessage>[0]) =>
    decodeMessage(await client.call(service, method, encodeMessage(fields)))
  const streamsFrom = (first: number, { terminal, stdin, stdout, stderr }: TaskStreams) => ({
    [first]: terminal,
    [first + 1]: stdin,
    [first + 2]: stdout,
    [first + 3]: stderr,
  })
  return {
    async create({ id, bundle, streams, runcRoot }) {
      const options =
        runcRoot === undefined ? undefined : encodeMessage({ 1: RUNC_OPTIONS_TYPE, 2: encodeMessage({ 7: runcRoot }) })
      return (await call('Create', { 1: id, 2: bundle, ...streamsFrom(4, streams), 10: options })).number(1)
    },
    async exec({ id, exec, streams, process }) {
      const spec = encodeMessage({ 1: PROCESS_TYPE, 2: JSON.stringify(process) })
      await call('Exec', { 1: id, 2: exec, ...streamsFrom(3, streams), 7: spec })
    },
    start: async ({ id, exec }) => (await call('Start', { 1: id, 2: exec })).number(1),
    wait: async ({ id, exec }) => (await call('Wait', { 1: id, 2: exec })).number(1),
    async kill({ id, exec, signal, all }) {
      await call('Kill', { 1: id, 2: exec, 3: signal, 4: all })
    },
    async resize({ id, exec, columns, rows }) {
      await call('ResizePty', { 1: id, 2: exec, 3: columns, 4: rows })
    },
    async delete({ id, exec }) {
      await call('Delete', { 1: id, 2: exec })
    },
    async shutdown(id) {
      await call('Shutdown', { 1: id })
    },
    [Symbol.dispose]: () => client[Symbol.dispose](),
  }
}
