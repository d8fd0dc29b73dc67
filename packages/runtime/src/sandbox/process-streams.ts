import type { Socket } from 'node:net'
import { Readable, Writable } from 'node:stream'
import type { MonitorClient } from '../monitor/monitor-client.ts'
import { type Failure, FRAME, parseFrame, readFrames, writeFrame, writeJsonFrame } from '../monitor/protocol.ts'
import { type ExitStatus, type ProcessStreams, type TerminalSize } from '../runtime.ts'
import { RuntimeError } from '../runtime-error.ts'

export interface ProcessStreamsOptions {
  tty: boolean
  stdin: boolean
  signal?: AbortSignal
}

const LARGEST_FRAME = 256 * 1024

/**
 * A process's streams over a connection to the monitor. Resolves when the process is ready for input. Reading slowly
 * slows the process down; both outputs have to be read.
 */
export async function openProcessStreams(socket: Socket, options: ProcessStreamsOptions): Promise<ProcessStreams> {
  const opened = Promise.withResolvers<void>()
  const exit = Promise.withResolvers<ExitStatus>()
  // Not everybody who reads the streams asks how it ended.
  exit.promise.catch(() => {})
  const outputs = {
    stdout: new Readable({ read: () => void socket.resume() }),
    stderr: options.tty ? undefined : new Readable({ read: () => void socket.resume() }),
  }

  let outputsEnded = false
  function endOutputs(): void {
    if (outputsEnded) return
    outputsEnded = true
    outputs.stdout.push(null)
    outputs.stderr?.push(null)
  }

  readFrames(socket, (type, payload) => {
    switch (type) {
      case FRAME.opened:
        opened.resolve()
        break
      case FRAME.stdout:
        if (!outputs.stdout.push(payload)) socket.pause()
        break
      case FRAME.stderr:
        if (outputs.stderr?.push(payload) === false) socket.pause()
        break
      case FRAME.ended:
        endOutputs()
        opened.resolve()
        exit.resolve(parseFrame<ExitStatus>(payload))
        break
      case FRAME.failed: {
        const failure = parseFrame<Failure>(payload)
        const error = new RuntimeError(failure.code, failure.message)
        endOutputs()
        opened.reject(error)
        exit.reject(error)
        break
      }
    }
  })
  socket.on('error', () => {})
  socket.on('close', () => {
    stdin?.destroy()
    const error = new RuntimeError('failed', 'the connection to the process was closed')
    endOutputs()
    opened.reject(error)
    exit.reject(error)
  })
  const stdin = options.stdin ? createStdin(socket) : undefined
  const abort = (): void => void socket.destroy()
  if (options.signal?.aborted) abort()
  options.signal?.addEventListener('abort', abort, { once: true })
  socket.once('close', () => options.signal?.removeEventListener('abort', abort))
  await opened.promise

  return {
    stdin,
    stdout: outputs.stdout,
    stderr: outputs.stderr,
    resize: (size: TerminalSize) => void writeJsonFrame(socket, FRAME.resize, size),
    exit: exit.promise,
    async [Symbol.asyncDispose]() {
      socket.destroy()
    },
  }
}

/** The streams of a container whose start goes on: its output from the first byte. Rejects as the start does. */
export async function attachToStarting(
  monitor: Pick<MonitorClient, 'open'>,
  { id, spec, begun }: { id: string; spec: ProcessStreamsOptions; begun: Promise<void> },
): Promise<ProcessStreams> {
  const socket = await monitor.open({ kind: 'attach', id, expected: true })
  begun.catch(() => socket.destroy())
  const streams = openProcessStreams(socket, { tty: spec.tty, stdin: spec.stdin })
  const failed = begun.then(() => new Promise<never>(() => undefined))
  return await Promise.race([failed, streams])
}

function createStdin(socket: Socket): Writable {
  const stdin = new Writable({
    write(chunk: Buffer, _encoding, callback) {
      let flowing = true
      for (let at = 0; at < chunk.length; at += LARGEST_FRAME) {
        flowing = writeFrame(socket, FRAME.stdin, chunk.subarray(at, at + LARGEST_FRAME))
      }
      if (socket.destroyed || flowing) return callback()
      const proceed = (): void => {
        socket.off('drain', proceed)
        socket.off('close', proceed)
        callback()
      }
      socket.on('drain', proceed).on('close', proceed)
    },
    final(callback) {
      writeFrame(socket, FRAME.stdinEnd)
      callback()
    },
  })
  // What a process that has ended was not given is nobody's error.
  stdin.on('error', () => {})
  return stdin
}
