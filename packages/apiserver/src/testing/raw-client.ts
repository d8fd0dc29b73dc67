/** For tests: requests that are written byte for byte, whatever a client of its own would make of them. */
import { once } from 'node:events'
import { type ConnectionOptions, connect, type TLSSocket } from 'node:tls'
import { TENANT_TOKEN, type WholeServer } from './whole-server.ts'

export const AUTHORIZATION = `Authorization: Bearer ${TENANT_TOKEN}`

/** A request of the tenant as far as the empty line. */
export const head = (line: string, ...headers: string[]): string =>
  [line, 'Host: 127.0.0.1', AUTHORIZATION, ...headers, '', ''].join('\r\n')

export const statusLine = (answer: string): string => answer.slice(0, answer.indexOf('\r\n'))

type RawOptions = ConnectionOptions & { localAddress?: string }

export interface RawClient extends Disposable {
  /** Begins a connection; whatever becomes of it is no error. */
  begin(options?: RawOptions): TLSSocket
  /** The same, once it stands: it says nothing of itself. */
  dial(options?: RawOptions): Promise<TLSSocket>
  /** What is answered to these bytes, until the other side closes. */
  sendRaw(text: string): Promise<string>
}

/** Disposing ends its connections. @param api the server that runs by then */
export function rawClient(api: () => Pick<WholeServer, 'port' | 'certificates'>): RawClient {
  const open: TLSSocket[] = []

  function begin(options: RawOptions = {}): TLSSocket {
    const { port, certificates } = api()
    const socket = connect({ host: '127.0.0.1', port, ca: certificates.authority, ...options })
    open.push(socket)
    return socket.on('error', () => undefined)
  }

  async function dial(options?: RawOptions): Promise<TLSSocket> {
    const socket = begin(options)
    await once(socket, 'secureConnect')
    return socket
  }

  return {
    begin,
    dial,
    async sendRaw(text) {
      const socket = await dial()
      const answer = rest(socket)
      socket.write(text)
      return answer
    },
    [Symbol.dispose]() {
      for (const socket of open.splice(0)) socket.destroy()
    },
  }
}

/** Everything that comes back until the other side closes. */
export function rest(socket: TLSSocket): Promise<string> {
  return new Promise((resolve) => {
    let text = ''
    socket.setEncoding('utf8').on('data', (chunk: string) => {
      text += chunk
    })
    socket.on('close', () => resolve(text))
  })
}
