/** A TCP connection through the proxy that a kubeconfig's `proxy-url` names: HTTP CONNECT or SOCKS 5. */
import { connect as connectTcp, isIPv4, isIPv6, type Socket } from 'node:net'
import { connect as connectTls } from 'node:tls'
import { TransportError } from './transport-error.ts'

export interface ProxyTarget {
  proxy: URL
  host: string
  port: number
  signal: AbortSignal
}

export const PROXY_PROTOCOLS = ['http:', 'https:', 'socks5:', 'socks5h:']
const DEFAULT_PORTS: Record<string, number> = { 'http:': 80, 'https:': 443, 'socks5:': 1080, 'socks5h:': 1080 }
const ANSWER_LIMIT = 16 * 1024

/** Resolves with a socket whose next byte comes from the target. Rejects with a TransportError `unreachable`. */
export async function connectThroughProxy(target: ProxyTarget): Promise<Socket> {
  const { proxy, signal } = target
  const at = { host: unbracketed(proxy.hostname), port: Number(proxy.port) || DEFAULT_PORTS[proxy.protocol] || 0 }
  const socket = proxy.protocol === 'https:' ? connectTls({ ...at, servername: serverName(at.host) }) : connectTcp(at)
  const reader = createReader(socket, signal)
  try {
    // What is written before the connection stands waits for it.
    if (proxy.protocol.startsWith('socks5')) await socksHandshake(socket, reader, target)
    else await connectHandshake(socket, reader, target)
    reader.release()
    return socket
  } catch (error) {
    socket.destroy()
    const message = error instanceof Error ? error.message : String(error)
    throw new TransportError('unreachable', `cannot connect through the proxy ${proxy.host}: ${message}`, {
      cause: error,
    })
  }
}

async function connectHandshake(socket: Socket, reader: Reader, { proxy, host, port }: ProxyTarget): Promise<void> {
  const authority = `${isIPv6(host) ? `[${host}]` : host}:${port}`
  const credentials = proxy.username
    ? `Proxy-Authorization: Basic ${Buffer.from(`${decodeURIComponent(proxy.username)}:${decodeURIComponent(proxy.password)}`).toString('base64')}\r\n`
    : ''
  socket.write(`CONNECT ${authority} HTTP/1.1\r\nHost: ${authority}\r\n${credentials}\r\n`)
  const head = (await reader.until('\r\n\r\n')).toString('latin1')
  const status = /^HTTP\/1\.[01] (\d{3})/.exec(head)?.[1]
  if (!status?.startsWith('2')) throw new Error(`it answered ${status ?? 'something that is not HTTP'}`)
}

/** RFC 1928 and, for user and password, RFC 1929. The proxy resolves host names. */
async function socksHandshake(socket: Socket, reader: Reader, { proxy, host, port }: ProxyTarget): Promise<void> {
  const user = Buffer.from(decodeURIComponent(proxy.username))
  const password = Buffer.from(decodeURIComponent(proxy.password))
  if (user.length > 255 || password.length > 255) throw new Error('its user or password is too long for SOCKS 5')
  socket.write(Buffer.from(user.length > 0 ? [5, 2, 0, 2] : [5, 1, 0]))
  const method = (await reader.bytes(2))[1]
  if (method === 2 && user.length > 0) {
    socket.write(Buffer.concat([Buffer.from([1, user.length]), user, Buffer.from([password.length]), password]))
    if ((await reader.bytes(2))[1] !== 0) throw new Error('it refused the user and password')
  } else if (method !== 0) throw new Error('it accepts none of our ways to authenticate')
  socket.write(Buffer.concat([Buffer.from([5, 1, 0]), socksAddress(host), Buffer.from([port >> 8, port & 255])]))
  const answer = await reader.bytes(4)
  if (answer[1] !== 0) throw new Error(`it answered with SOCKS error ${answer[1]}`)
  const length = answer[3] === 1 ? 4 : answer[3] === 4 ? 16 : ((await reader.bytes(1))[0] ?? 0)
  await reader.bytes(length + 2)
}

function socksAddress(host: string): Buffer {
  if (isIPv4(host)) return Buffer.from([1, ...host.split('.').map(Number)])
  const name = Buffer.from(host)
  if (name.length > 255) throw new Error('the name of the server is too long for SOCKS 5')
  return Buffer.concat([Buffer.from([3, name.length]), name])
}

interface Reader {
  bytes(count: number): Promise<Buffer>
  until(end: string): Promise<Buffer>
  /** Gives back to the socket what was read too much. */
  release(): void
}

function createReader(socket: Socket, signal: AbortSignal): Reader {
  let buffered: Buffer = Buffer.alloc(0)
  let failure: Error | undefined
  let wake: (() => void) | undefined
  function stop(error: Error): void {
    failure ??= error
    wake?.()
  }
  const onData = (chunk: Buffer) => {
    buffered = Buffer.concat([buffered, chunk])
    if (buffered.length > ANSWER_LIMIT) stop(new Error('its answer is too long'))
    wake?.()
  }
  const onEnd = () => stop(new Error('it closed the connection'))
  const onAbort = () => stop(new Error('it took too long'))
  socket.on('data', onData).on('error', stop).on('close', onEnd)
  signal.addEventListener('abort', onAbort, { once: true })

  async function wait(): Promise<void> {
    if (signal.aborted) onAbort()
    if (failure) throw failure
    await new Promise<void>((resolve) => {
      wake = resolve
    })
    wake = undefined
    if (failure) throw failure
  }
  function take(count: number): Buffer {
    const taken = buffered.subarray(0, count)
    buffered = buffered.subarray(count)
    return taken
  }
  return {
    async bytes(count) {
      while (buffered.length < count) await wait()
      return take(count)
    },
    async until(end) {
      let at = buffered.indexOf(end)
      while (at < 0) {
        await wait()
        at = buffered.indexOf(end)
      }
      return take(at + end.length)
    },
    release() {
      socket.pause()
      socket.off('data', onData).off('error', stop).off('close', onEnd)
      signal.removeEventListener('abort', onAbort)
      if (buffered.length > 0) socket.unshift(buffered)
    },
  }
}

function unbracketed(host: string): string {
  return host.replace(/^\[|\]$/g, '')
}

function serverName(host: string): string {
  return isIPv4(host) || isIPv6(host) ? '' : host
}
