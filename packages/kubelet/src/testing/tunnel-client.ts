/**
 * For tests of port forwarding: a WebSocket client that asks for Kubernetes' tunnel. Its protocol's name has a slash,
 * which WebSocket libraries refuse to ask for; kubectl does.
 */
import { request } from 'node:http'
import { Duplex } from 'node:stream'

const PROTOCOL = 'SPDY/3.1+portforward.k8s.io'
const BINARY = 0x82

/** Upgrades. The socket's bytes are the content of binary messages. */
export async function openTunnel(target: {
  port: number
  path: string
}): Promise<{ socket: Duplex; protocol: string | undefined }> {
  const upgrade = request({
    host: '127.0.0.1',
    ...target,
    headers: {
      Connection: 'Upgrade',
      Upgrade: 'websocket',
      'Sec-WebSocket-Version': '13',
      'Sec-WebSocket-Key': Buffer.alloc(16).toString('base64'),
      'Sec-WebSocket-Protocol': PROTOCOL,
    },
  })
  upgrade.end()
  const { promise, resolve, reject } = Promise.withResolvers<{ socket: Duplex; protocol: string | undefined }>()
  upgrade.on('error', reject)
  upgrade.on('upgrade', (response, socket, head) => {
    resolve({ socket: overMessages(socket, head), protocol: response.headers['sec-websocket-protocol'] })
  })
  return await promise
}

function overMessages(socket: Duplex, head: Buffer): Duplex {
  let received = Buffer.alloc(0)
  const messages = new Duplex({
    read() {},
    write(chunk: Buffer, _encoding, callback) {
      // Masked, as a client's frames must be, with a mask that changes nothing.
      const frame = Buffer.alloc(8 + chunk.length)
      frame[0] = BINARY
      frame[1] = 0x80 | 126
      frame.writeUInt16BE(chunk.length, 2)
      chunk.copy(frame, 8)
      socket.write(frame, callback)
    },
    final(callback) {
      socket.end(callback)
    },
    destroy(error, callback) {
      socket.destroy()
      callback(error)
    },
  })
  function take(chunk: Buffer): void {
    received = Buffer.concat([received, chunk])
    for (;;) {
      const short = (received[1] ?? 0) & 0x7f
      const start = short === 127 ? 10 : short === 126 ? 4 : 2
      if (received.length < start) return
      const length =
        short === 127 ? Number(received.readBigUInt64BE(2)) : short === 126 ? received.readUInt16BE(2) : short
      if (received.length < start + length) return
      if (received[0] === BINARY) messages.push(received.subarray(start, start + length))
      received = received.subarray(start + length)
    }
  }
  socket.on('data', take)
  socket.on('end', () => messages.push(null))
  socket.on('error', (error) => messages.destroy(error))
  take(head)
  return messages
}
