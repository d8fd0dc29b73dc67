/** Connections of this server to servers behind Services, over TLS to the Service's name. They are kept. */
import { once } from 'node:events'
import { Agent } from 'node:https'
import type { Duplex } from 'node:stream'
import { connect } from 'node:tls'

/** Opens a connection to a Service of the cluster. Rejects where nothing is behind it. */
export type DialService = (
  service: { namespace: string; name: string; port: number },
  signal: AbortSignal,
) => Promise<Duplex>

/** Until TLS stands. */
const LONGEST_DIAL_MS = 30_000

export interface ServiceAgentOptions {
  dial: DialService | undefined
  /** Whom to trust, and who this is. */
  tls: { ca?: Buffer; cert?: string; key?: string; rejectUnauthorized?: boolean }
  longestDialMs?: number
}

export function serviceAgent(
  { namespace, name, port = 443 }: { namespace: string; name: string; port?: number },
  { dial, tls, longestDialMs = LONGEST_DIAL_MS }: ServiceAgentOptions,
): Agent {
  const servername = `${name}.${namespace}.svc`

  async function dialed(): Promise<Duplex> {
    if (!dial) throw new Error(`service ${namespace}/${name} cannot be reached from the API server`)
    const signal = AbortSignal.timeout(longestDialMs)
    const socket = await dial({ namespace, name, port }, signal)
    const secure = connect({ socket, servername, ...tls })
    try {
      await once(secure, 'secureConnect', { signal })
      return secure
    } catch (error) {
      // Whoever accepts connections and says nothing would else keep every one of them.
      secure.destroy()
      socket.destroy()
      throw signal.aborted ? new Error('net/http: TLS handshake timeout') : error
    }
  }

  const agent = new Agent({ keepAlive: true, servername })
  agent.createConnection = (_options, done) => {
    // oxlint-disable promise/no-callback-in-promise -- node:https asks for a callback
    void dialed().then(
      (socket) => done?.(null, socket),
      (error: unknown) => done?.(error as Error, undefined as never),
    )
    // oxlint-enable promise/no-callback-in-promise
    return undefined
  }
  return agent
}
