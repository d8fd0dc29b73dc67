/** exec and attach over a WebSocket: v5 and v4 with a Status at the end, the earlier protocols with plain text. */
import type { IncomingMessage } from 'node:http'
import type { Status } from '@caisson/api'
import { acceptWebSocket, negotiateWebSocketProtocol } from './accept-web-socket.ts'
import type { RemoteStreams, StreamSelection } from './remote-command.ts'
import { refuseUpgrade, type UpgradeRequest } from './upgrade.ts'
import { type ChannelEncoding, openChannels } from './web-socket-channels.ts'

const STDIN = 0
const STDOUT = 1
const STDERR = 2
const ERROR = 3
const RESIZE = 4

interface Protocol {
  encoding: ChannelEncoding
  closeSignal: boolean
  /** What the error channel carries: a Status, or text and only for failures. */
  status: 'json' | 'text'
}

const PROTOCOLS: ReadonlyMap<string, Protocol> = new Map<string, Protocol>([
  ['v5.channel.k8s.io', { encoding: 'binary', closeSignal: true, status: 'json' }],
  ['v4.channel.k8s.io', { encoding: 'binary', closeSignal: false, status: 'json' }],
  ['v4.base64.channel.k8s.io', { encoding: 'base64', closeSignal: false, status: 'json' }],
  ['channel.k8s.io', { encoding: 'binary', closeSignal: false, status: 'text' }],
  ['base64.channel.k8s.io', { encoding: 'base64', closeSignal: false, status: 'text' }],
  ['', { encoding: 'binary', closeSignal: false, status: 'text' }],
])

/** Undefined where the upgrade was refused; the client has its answer then. */
export async function acceptWebSocketCommand(
  client: UpgradeRequest,
  selection: StreamSelection,
): Promise<RemoteStreams | undefined> {
  const name = negotiateWebSocketProtocol(client.request, new Set(PROTOCOLS.keys()))
  const protocol = name === undefined ? undefined : PROTOCOLS.get(name)
  if (name === undefined || !protocol) {
    const supported = [...PROTOCOLS.keys()].filter((name) => name !== '').join(', ')
    refuseUpgrade(client.socket, 403, `none of the requested WebSocket protocols is supported, which are: ${supported}`)
    return undefined
  }
  const connection = await acceptWebSocket(client, name)
  if (!connection) return undefined

  const inputs = [...(selection.stdin ? [STDIN] : []), RESIZE]
  const channels = openChannels(connection, { encoding: protocol.encoding, closeSignal: protocol.closeSignal, inputs })
  channels.greet(selection.stdout ? STDOUT : selection.stderr ? STDERR : ERROR)

  function finish(status: Status): void {
    const text =
      protocol?.status === 'json' ? JSON.stringify(status) : status.status === 'Failure' ? status.message : ''
    channels.output(ERROR).end(text ?? '', () => channels.close())
  }

  return {
    stdin: selection.stdin ? channels.input(STDIN) : undefined,
    stdout: selection.stdout ? channels.output(STDOUT) : undefined,
    stderr: selection.stderr ? channels.output(STDERR) : undefined,
    resize: channels.input(RESIZE),
    gone: channels.gone,
    finish,
  }
}

/** True for v5, whose clients hear of a failure on the error channel rather than by an HTTP status. */
export function wantsStatusOnErrorChannel(request: IncomingMessage): boolean {
  return negotiateWebSocketProtocol(request, new Set(PROTOCOLS.keys())) === 'v5.channel.k8s.io'
}
