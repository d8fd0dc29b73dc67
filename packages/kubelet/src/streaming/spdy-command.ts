/** exec and attach over SPDY/3.1: a stream each for stdin, stdout, stderr, the terminal's size and how it ended. */
import type { Duplex } from 'node:stream'
import type { Status } from '@caisson/api'
import { acceptSpdy } from './accept-spdy.ts'
import { IDLE_TIMEOUT_MS, STREAM_CREATION_TIMEOUT_MS } from './idle-timeout.ts'
import type { RemoteStreams, StreamSelection } from './remote-command.ts'
import { serveSpdy } from './spdy/connection.ts'
import { SpdyError } from './spdy/spdy-error.ts'
import type { UpgradeRequest } from './upgrade.ts'

const PROTOCOLS = ['v4.channel.k8s.io', 'v3.channel.k8s.io', 'v2.channel.k8s.io', 'channel.k8s.io'] as const

type StreamType = 'error' | 'stdin' | 'stdout' | 'stderr' | 'resize'

/**
 * Resolves once the client has opened every stream that it asked for. Undefined where it did not, or where the upgrade
 * was refused.
 */
export async function acceptSpdyCommand(
  client: UpgradeRequest,
  selection: StreamSelection,
): Promise<RemoteStreams | undefined> {
  const protocol = acceptSpdy(client, PROTOCOLS)
  if (protocol === undefined) return undefined
  const resizes = protocol === 'v4.channel.k8s.io' || protocol === 'v3.channel.k8s.io'
  const expected = new Set<StreamType>(['error'])
  if (selection.stdin) expected.add('stdin')
  if (selection.stdout) expected.add('stdout')
  if (selection.stderr) expected.add('stderr')
  if (selection.tty && resizes) expected.add('resize')

  const opened = new Map<StreamType, Duplex>()
  const { promise: complete, resolve: allOpened } = Promise.withResolvers<true>()
  const gone = new AbortController()
  const connection = serveSpdy(client.socket, {
    maxStreams: 8,
    idleTimeoutMs: IDLE_TIMEOUT_MS,
    onStream({ headers, duplex }) {
      const type = headers.get('streamtype')?.[0] as StreamType | undefined
      if (!type || !expected.has(type) || opened.has(type)) {
        throw new SpdyError('protocol', `a stream of type ${JSON.stringify(type)} was not expected`)
      }
      opened.set(type, duplex)
      // Only stdin and resize are read; the others' input is at most its end.
      if (type !== 'stdin' && type !== 'resize') duplex.resume()
      if (opened.size === expected.size) allOpened(true)
    },
  })
  const closed = connection.closed.then((error) => {
    gone.abort(error ?? new Error('the client closed the connection'))
    return false
  })
  const expired = setTimeout(
    () => connection.destroy(new SpdyError('idle', 'timed out waiting for client to create streams')),
    STREAM_CREATION_TIMEOUT_MS,
  )
  const ready = await Promise.race([complete, closed])
  clearTimeout(expired)
  if (!ready) return undefined

  function finish(status: Status): void {
    const text = protocol === 'v4.channel.k8s.io' ? JSON.stringify(status) : failureText(status)
    // The client reads each stream to its end before it looks at the next, so all of them end.
    opened.get('stdin')?.end()
    opened.get('stdout')?.end()
    opened.get('stderr')?.end()
    opened.get('error')?.end(text, () => connection.close())
  }

  return {
    stdin: opened.get('stdin'),
    stdout: opened.get('stdout'),
    stderr: opened.get('stderr'),
    resize: opened.get('resize'),
    gone: gone.signal,
    finish,
  }
}

function failureText(status: Status): string {
  return status.status === 'Failure' ? (status.message ?? '') : ''
}
