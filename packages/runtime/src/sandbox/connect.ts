import { spawn } from 'node:child_process'
import { closeSync, openSync } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { connect, createServer, type Socket } from 'node:net'
import { join } from 'node:path'
import { Duplex, type Readable, type Writable } from 'node:stream'
import { shortPath } from '../monitor/short-path.ts'
import { loopbackAddresses } from '../native/programs.ts'
import { RuntimeError } from '../runtime.ts'
import type { RuntimeParts } from './containers.ts'
import { type ContainerEntry, ociId, type SandboxEntry } from './entries.ts'

export interface ConnectOptions {
  port: number
  signal: AbortSignal | undefined
}

/**
 * Opens a TCP connection to a port of a sandbox: through its address where something listens there, else to its loopback.
 * Rejects with code `network` where nobody listens; for the loopback of a sentry that is only known a moment after, and
 * the connection then fails with the same error.
 */
export async function connectToSandbox(
  parts: RuntimeParts,
  sandbox: SandboxEntry,
  { port, signal }: ConnectOptions,
): Promise<Duplex> {
  if (!Number.isInteger(port) || port < 1 || port > 65_535) throw new RuntimeError('network', `${port} is not a port`)
  signal?.throwIfAborted()
  const { ip, spec } = sandbox.record
  const direct = ip === undefined ? undefined : await connectDirectly(ip, port, signal)
  if (direct) return direct
  const inside = runningContainer(sandbox)
  return spec.handler === 'runsc'
    ? connectThroughSentry(parts, sandbox, { port, signal, inside })
    : connectThroughNamespace(parts, sandbox, { port, signal, inside })
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
  const driver = await parts.drivers.get(sandbox.record.spec.handler)
  const directory = await mkdtemp(join(inside.directory, 'forward-'))
  using socketPath = shortPath(join(directory, 'stream.sock'))
  const accepted = Promise.withResolvers<Socket>()
  const server = createServer({ allowHalfOpen: true }, (connection) => {
    server.close()
    accepted.resolve(connection)
  })
  server.on('error', accepted.reject)
  server.listen(socketPath.path)
  const runtimeLog = join(inside.directory, 'runtime.log')
  const command = driver.commandLine(['port-forward', '--stream', socketPath.path, ociId(inside.id), String(port)], {
    runtimeLog,
  })
  const child = spawn(command.program, command.args, {
    env: command.env,
    stdio: ['ignore', 'ignore', 'pipe'],
    ...(signal ? { signal } : {}),
  })
  let complaint = ''
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    complaint = (complaint + text).slice(-2000)
  })
  const refused = (): RuntimeError =>
    new RuntimeError(
      'network',
      `nobody listens on port ${port} of sandbox ${sandbox.record.spec.id}: ${complaint.trim()}`,
    )
  child.on('error', accepted.reject)
  child.on('exit', (code) => {
    server.close()
    accepted.reject(refused())
    if (code !== 0)
      void accepted.promise.then(
        (connection) => connection.destroy(refused()),
        () => {},
      )
  })
  try {
    const connection = await accepted.promise
    connection.on('close', () => child.kill())
    return connection
  } finally {
    await rm(directory, { recursive: true, force: true })
  }
}

/** A small program that has entered the network namespace carries the bytes. */
async function connectThroughNamespace(
  parts: RuntimeParts,
  sandbox: SandboxEntry,
  options: InsideOptions,
): Promise<Duplex> {
  const { port, signal, inside } = options
  const { native } = await parts.prepared
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
    child.on('exit', () =>
      reject(new RuntimeError('network', `nobody listens on port ${port} of sandbox ${sandbox.record.spec.id}`)),
    )
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
      callback(error)
    },
  })
  readable.on('data', (chunk: Buffer) => {
    if (!stream.push(chunk)) readable.pause()
  })
  readable.on('end', () => stream.push(null))
  return stream
}
