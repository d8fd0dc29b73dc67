import { spawn } from 'node:child_process'
import { closeSync, openSync } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { connect, createServer, type Socket } from 'node:net'
import { join } from 'node:path'
import { Duplex, type Readable, type Writable } from 'node:stream'
import { shortPath } from '../monitor/short-path.ts'
import { loopbackAddresses } from '../native/programs.ts'
import { RuntimeError } from '../runtime-error.ts'
import type { ContainerEntry, SandboxEntry } from './entries.ts'
import type { RuntimeParts } from './runtime-parts.ts'
import type { Places } from './sandbox-places.ts'

export interface ConnectOptions {
  port: number
  signal: AbortSignal | undefined
}

/**
 * Opens a TCP connection to a port of a sandbox: through its address where something listens there, else to its loopback.
 * Rejects with code `network` where nobody listens.
 *
 * @param options.places for those to its loopback, each of which takes a process of this machine's
 */
export async function connectToSandbox(
  parts: RuntimeParts,
  sandbox: SandboxEntry,
  { port, signal, places }: ConnectOptions & { places: Places<Duplex> },
): Promise<Duplex> {
  if (!Number.isInteger(port) || port < 1 || port > 65_535) throw new RuntimeError('network', `${port} is not a port`)
  signal?.throwIfAborted()
  const { ip, spec } = sandbox.record
  const direct = ip === undefined ? undefined : await connectDirectly(ip, port, signal)
  if (direct) return direct
  const inside = runningContainer(sandbox)
  const connectInside = spec.handler === 'runsc' ? connectThroughSentry : connectThroughNamespace
  return await places(spec.id, () => connectInside(parts, sandbox, { port, signal, inside }))
}

type InsideOptions = ConnectOptions & { inside: ContainerEntry }

/** Any container that runs shows the way in: they all share the network. */
function runningContainer(sandbox: SandboxEntry): ContainerEntry {
  const candidates = [...(sandbox.pause ? [sandbox.pause] : []), ...sandbox.containers.values()]
  const running = candidates.find(({ state }) => state.phase === 'running')
  if (!running) throw new RuntimeError('network', `nothing runs in sandbox ${sandbox.record.spec.id}`)
  return running
}

/** Undefined where nobody listens on the address. */
async function connectDirectly(
  host: string,
  port: number,
  signal: AbortSignal | undefined,
): Promise<Socket | undefined> {
  const { promise, resolve, reject } = Promise.withResolvers<Socket | undefined>()
  const socket = connect({ host, port, allowHalfOpen: true, noDelay: true })
  const abort = (): void => {
    socket.destroy()
    reject(signal?.reason ?? new Error('aborted'))
  }
  const failed = (): void => resolve(undefined)
  signal?.addEventListener('abort', abort, { once: true })
  socket.once('connect', () => resolve(socket)).once('error', failed)
  try {
    return await promise
  } finally {
    signal?.removeEventListener('abort', abort)
    socket.off('error', failed)
  }
}

/** `runsc port-forward` connects to a socket of ours and carries bytes from there to the sentry's loopback. */
async function connectThroughSentry(
  parts: RuntimeParts,
  sandbox: SandboxEntry,
  options: InsideOptions,
): Promise<Duplex> {
  const { port, signal, inside } = options
  const driver = await parts.drivers.sentry(sandbox.record.spec.handler)
  const directory = await mkdtemp(join(inside.directory, 'forward-'))
  using socketPath = shortPath(join(directory, 'stream.sock'))
  const accepted = Promise.withResolvers<Socket>()
  const server = createServer({ allowHalfOpen: true }, (connection) => {
    server.close()
    if (signal?.aborted) connection.destroy()
    else accepted.resolve(connection)
  })
  server.on('error', accepted.reject)
  server.listen(socketPath.path)
  const abort = (): void => accepted.reject(signal?.reason)
  signal?.addEventListener('abort', abort, { once: true })
  const runtimeLog = join(inside.directory, 'runtime.log')
  const command = driver.commandLine(['port-forward', '--stream', socketPath.path, inside.ociId, String(port)], {
    runtimeLog,
  })
  const child = spawn(command.program, command.args, {
    env: command.env,
    stdio: ['ignore', 'ignore', 'pipe'],
    ...(signal ? { signal } : {}),
  })
  let complaint = ''
  child.stderr?.setEncoding('utf8').on('data', (text: string) => {
    complaint = (complaint + text).slice(-2000)
  })
  const ended = Promise.withResolvers<void>()
  child.on('error', (cause) => ended.reject(new RuntimeError('failed', `could not run ${command.program}`, { cause })))
  child.on('close', (code) => {
    if (code === 0) ended.resolve()
    else ended.reject(notListening(sandbox, port, complaint))
  })
  // The command connects to us first, and ends with 0 once the sentry is connected too: bytes then go on without it. Its
  // end may be heard of first all the same.
  ended.promise.catch(accepted.reject)
  try {
    const connection = await accepted.promise
    // It may fail before its owner had a chance to listen, who then learns of it by reading.
    connection.on('error', () => {})
    await ended.promise.catch((error: unknown) => {
      connection.destroy()
      throw error
    })
    return connection
  } finally {
    signal?.removeEventListener('abort', abort)
    server.close()
    await rm(directory, { recursive: true, force: true })
  }
}

function notListening(sandbox: SandboxEntry, port: number, complaint = ''): RuntimeError {
  const message = `nobody listens on port ${port} of sandbox ${sandbox.record.spec.id}`
  // Paths of this machine may be in what a program says: that is not for whoever asked for the port.
  return new RuntimeError('network', message, complaint === '' ? {} : { cause: new Error(complaint.trim()) })
}

/** A small program that has entered the network namespace carries the bytes. */
async function connectThroughNamespace(
  parts: RuntimeParts,
  sandbox: SandboxEntry,
  options: InsideOptions,
): Promise<Duplex> {
  const { port, signal, inside } = options
  const { native } = await parts.prepare()
  if (inside.state.phase !== 'running')
    throw new RuntimeError('network', `nothing runs in sandbox ${sandbox.record.spec.id}`)
  const namespace = openSync(
    parts.network.get(sandbox.record.spec.id)?.namespace ?? `/proc/${inside.state.pid}/ns/net`,
    'r',
  )
  try {
    const child = spawn(native.netnsConnect, [], {
      env: {},
      stdio: ['pipe', 'pipe', 'ignore', namespace],
      ...(signal ? { signal } : {}),
    })
    const { stdin, stdout } = child
    if (!stdin || !stdout) throw new RuntimeError('failed', 'the program that connects has no streams')
    const { promise, resolve, reject } = Promise.withResolvers<void>()
    child.on('error', reject)
    child.on('exit', () => reject(notListening(sandbox, port)))
    stdin.on('error', () => {})
    stdin.write(loopbackAddresses(port))
    stdout.once('readable', () => {
      if (stdout.read(1) !== null) resolve()
    })
    await promise
    return joinStreams(stdin, stdout, () => child.kill('SIGKILL'))
  } finally {
    closeSync(namespace)
  }
}

/** One stream of two, each end closing on its own as TCP's do. */
function joinStreams(writable: Writable, readable: Readable, onClose: () => void): Duplex {
  const stream = new Duplex({
    allowHalfOpen: true,
    read: () => void readable.resume(),
    write: (chunk: Buffer, _encoding, callback) => void writable.write(chunk, callback),
    final: (callback) => void writable.end(callback),
    destroy(error, callback) {
      onClose()
      readable.destroy()
      writable.destroy()
      callback(error)
    },
  })
  readable.on('data', (chunk: Buffer) => {
    if (!stream.push(chunk)) readable.pause()
  })
  readable.on('end', () => void stream.push(null))
  // It may fail before its owner had a chance to listen, who then learns of it by reading.
  stream.on('error', () => {})
  const failed = (error: Error): void => void stream.destroy(error)
  readable.on('error', failed)
  writable.on('error', failed)
  return stream
}
