/** Connections to a port of a Pod: a WebSocket each, with a channel for data and one for what went wrong. */
import { Duplex } from 'node:stream'
import { callBack } from './call-back.ts'
import { openChannels } from './channels.ts'
import type { Client } from './client.ts'
import { resources } from './core-resources.ts'
import { resourcePath } from './resource.ts'
import { TransportError } from './transport-error.ts'

export interface ForwardPortOptions {
  namespace: string
  port: number
  signal?: AbortSignal
}

const PROTOCOL = 'v4.channel.k8s.io'
const CHANNEL = { data: 0, error: 1 } as const
/** Each channel begins with its port's number. */
const PREFIX = 2
const ERROR_LIMIT = 64 * 1024

/**
 * Connects to a port of a running Pod. The stream fails with a TransportError `unreachable` where nobody listens there.
 *
 * The protocol cannot say that only our side has ended: after `end()` the Pod's side goes on reading until it ends the
 * connection itself, or until `destroy()`.
 */
export async function forwardPort(client: Client, pod: string, options: ForwardPortOptions): Promise<Duplex> {
  const { namespace, port, signal } = options
  if (!Number.isInteger(port) || port < 1 || port > 65_535) throw new TypeError(`${port} is no port`)
  const { transport } = client
  if (!transport.openWebSocket) throw new TypeError('port forwarding needs a connection over the network')
  const { socket } = await transport.openWebSocket({
    path: resourcePath(resources.pods, { namespace, name: pod, subresource: 'portforward' }),
    query: [['ports', String(port)]],
    protocols: [PROTOCOL],
    ...(signal && { signal }),
  })
  const channels = openChannels(socket, { closeSignal: false })
  const data = channels.input(CHANNEL.data)
  const output = channels.output(CHANNEL.data)
  const complaint = readComplaint(channels.input(CHANNEL.error))

  const stream = new Duplex({
    read: () => void data.resume(),
    write: (chunk: Buffer, encoding, callback) => void output.write(chunk, encoding, callback),
    final: (callback) => void callBack(channels.flushed(), callback),
    destroy(error, callback) {
      signal?.removeEventListener('abort', onAbort)
      channels.complete()
      channels.destroy(error ?? new TransportError('closed', 'the stream was left'))
      callback(error)
    },
  })
  let skip = PREFIX
  data.on('data', (chunk: Buffer) => {
    const content = chunk.subarray(skip)
    skip -= chunk.length - content.length
    if (content.length > 0 && !stream.push(content)) data.pause()
  })
  async function finish(): Promise<void> {
    const message = await complaint
    if (message) stream.destroy(new TransportError('unreachable', message))
    else stream.push(null)
  }
  data.on('end', () => void finish())
  data.on('error', (error) => stream.destroy(error))
  data.pause()
  const onAbort = () =>
    stream.destroy(signal?.reason instanceof Error ? signal.reason : new Error(String(signal?.reason)))
  signal?.addEventListener('abort', onAbort, { once: true })
  if (signal?.aborted) onAbort()
  return stream
}

async function readComplaint(errors: AsyncIterable<Buffer>): Promise<string> {
  const parts: Buffer[] = []
  let size = 0
  try {
    for await (const part of errors) {
      size += part.length
      if (size > ERROR_LIMIT) break
      parts.push(part)
    }
  } catch {
    // The data's end says how the connection ended.
  }
  return Buffer.concat(parts).subarray(PREFIX).toString('utf8')
}
