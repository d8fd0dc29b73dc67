/**
 * ttrpc, which containerd and its shims speak over unix sockets: frames of a header of ten bytes (length, stream, kind,
 * flags) and one message. A request and its answer have a stream of their own.
 */
import { connect, createServer, type Socket } from 'node:net'
import { RuntimeError } from '../runtime-error.ts'
import { decodeMessage, encodeMessage } from './protobuf.ts'

const HEADER = 10
/** As the protocol has it. */
const LONGEST_MESSAGE = 4 * 1024 * 1024
const REQUEST = 1
const RESPONSE = 2

export interface TtrpcClient extends Disposable {
  /** Rejects with what the other side says of a failure, or with code `not-found` where there is nobody any more. */
  call(service: string, method: string, message: Uint8Array): Promise<Buffer>
}

/** Rejects with code `not-found` where nobody listens. */
export async function connectTtrpc(path: string): Promise<TtrpcClient> {
  const socket = connect(path)
  const waiting = new Map<number, PromiseWithResolvers<Buffer>>()
  let stream = -1
  let gone: RuntimeError | undefined
  const end = (cause?: Error): void => {
    gone ??= new RuntimeError(
      'not-found',
      `nobody answers at ${path}: ${cause?.message ?? 'the connection was closed'}`,
    )
    for (const { reject } of waiting.values()) reject(gone)
    waiting.clear()
  }
  const opened = Promise.withResolvers<void>()
  socket.once('connect', opened.resolve)
  socket.on('error', end).on('close', () => {
    end()
    opened.reject(gone)
  })
  readMessages(socket, ({ stream: of, kind, message }) => {
    const asked = waiting.get(of)
    if (kind !== RESPONSE || !asked) return
    waiting.delete(of)
    try {
      const answer = decodeMessage(message)
      const status = decodeMessage(answer.bytes(1))
      if (status.number(1) === 0) asked.resolve(answer.bytes(2))
      else asked.reject(new Error(status.text(2) || `status ${status.number(1)}`))
    } catch (cause) {
      asked.reject(new Error('an answer that is no message', { cause }))
    }
  })
  await opened.promise
  return {
    call(service, method, payload) {
      if (gone) return Promise.reject(gone)
      stream += 2
      const asked = Promise.withResolvers<Buffer>()
      waiting.set(stream, asked)
      socket.write(frame(stream, REQUEST, encodeMessage({ 1: service, 2: method, 3: payload })))
      return asked.promise
    },
    [Symbol.dispose]: () => void socket.destroy(),
  }
}

/** Listens at a path that is free and says yes to everything. */
export async function answerEverything(path: string): Promise<Disposable> {
  const connections = new Set<Socket>()
  const server = createServer((socket) => {
    connections.add(socket)
    socket.unref().on('close', () => connections.delete(socket))
    socket.on('error', () => {})
    readMessages(socket, ({ stream, kind }) => {
      if (kind === REQUEST) socket.write(frame(stream, RESPONSE, Buffer.alloc(0)))
    })
  })
  const listening = Promise.withResolvers<void>()
  // Later ones too: who could not connect knows it himself.
  server.on('error', listening.reject)
  server.listen(path, listening.resolve)
  await listening.promise
  server.unref()
  return {
    [Symbol.dispose]() {
      server.close()
      for (const socket of connections) socket.destroy()
    },
  }
}

interface Message {
  stream: number
  kind: number
  message: Buffer
}

function frame(stream: number, kind: number, message: Buffer): Buffer {
  const header = Buffer.alloc(HEADER)
  header.writeUInt32BE(message.length, 0)
  header.writeUInt32BE(stream, 4)
  header[8] = kind
  return Buffer.concat([header, message])
}

function readMessages(socket: Socket, onMessage: (message: Message) => void): void {
  let pending: Buffer = Buffer.alloc(0)
  socket.on('data', (chunk: Buffer) => {
    pending = Buffer.concat([pending, chunk])
    while (pending.length >= HEADER) {
      const length = pending.readUInt32BE(0)
      if (length > LONGEST_MESSAGE) {
        socket.destroy(new Error(`a message of ${length} bytes is too long`))
        return
      }
      if (pending.length < HEADER + length) return
      const message = pending.subarray(HEADER, HEADER + length)
      onMessage({ stream: pending.readUInt32BE(4), kind: pending[8] ?? 0, message })
      pending = pending.subarray(HEADER + length)
    }
  })
}
