/** Carries a request over a connection that is its alone, and the answer back, as streams: nothing is held but what is on its way. */
import type { IncomingMessage } from 'node:http'
import type { Duplex } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { endToEnd, type RawHeaders } from '@caisson/api'

export interface Question {
  /** Open. */
  connection: Duplex
  method: string
  /** Path and query. */
  url: string
  headers: RawHeaders
  /** What to say of a connection that breaks before there is an answer. */
  broke(cause: unknown): Error
}

export type AnswerHeaders = (answer: IncomingMessage) => RawHeaders

/** The answer, whose body is still to come. Rejects with what `broke` makes of it where there is none. */
export async function ask(question: Question & { body: NodeJS.ReadableStream | undefined }): Promise<IncomingMessage> {
  const { promise, resolve, reject } = Promise.withResolvers<IncomingMessage>()
  const outgoing = open(question, reject)
  outgoing.on('response', resolve)
  // Nobody asked for another protocol.
  outgoing.on('upgrade', (_answer, socket) => {
    socket.destroy()
    reject(question.broke(new Error('the protocol was changed unasked')))
  })
  // Who answers may do so before he has read everything, and then close.
  if (question.body) pipeline(question.body, outgoing).catch(() => {})
  else outgoing.end()
  return await promise
}

export interface UpgradedClient {
  socket: Duplex
  /** What the client has sent behind the head. */
  head: Buffer
}

/**
 * Carries a request for another protocol, such as WebSocket, and then the bytes of that one. Resolves, with the status of
 * the answer, when either side has ended. Where the protocol is not changed the answer is passed on and the connection
 * ended: nothing that follows on it would have been looked at.
 *
 * @param question with its `Connection` and `Upgrade` headers
 * @param switched called when the protocol is changed
 */
export async function relayUpgrade(
  { socket, head }: UpgradedClient,
  question: Question & { answerHeaders?: AnswerHeaders; switched?(): void },
): Promise<number> {
  const { connection, answerHeaders = passedOn, switched } = question
  const { promise, resolve, reject } = Promise.withResolvers<{ answer: IncomingMessage; first?: Buffer }>()
  socket.on('close', () => void connection.destroy())
  if (socket.destroyed) connection.destroy()
  const outgoing = open(question, reject)
  outgoing.on('upgrade', (answer, _socket, first: Buffer) => resolve({ answer, first }))
  outgoing.on('response', (answer) => resolve({ answer }))
  outgoing.end()
  try {
    const { answer, first } = await promise
    const headers = answerHeaders(answer)
    const status = answer.statusCode ?? 502
    if (!first) {
      socket.write(answerHead(answer, [...headers, 'Connection', 'close']))
      await pipeline(answer, socket)
      return status
    }
    // Both directions end at both ends.
    connection.setMaxListeners(20)
    socket.setMaxListeners(20)
    switched?.()
    socket.write(answerHead(answer, [...headers, 'Connection', 'Upgrade', 'Upgrade', answer.headers.upgrade ?? '']))
    if (first.length > 0) socket.write(first)
    if (head.length > 0) connection.write(head)
    // One side that breaks ends the other; how is their own affair.
    await Promise.allSettled([pipeline(socket, connection), pipeline(connection, socket)])
    return status
  } finally {
    connection.destroy()
  }
}

/** The headers of an answer that go on. */
export function passedOn({ rawHeaders, headers }: IncomingMessage): RawHeaders {
  return endToEnd(rawHeaders, headers.connection)
}

/** Throws where a path is none that can be sent. */
function open({ connection, method, url, headers, broke }: Question, reject: (error: Error) => void) {
  const { request } = process.getBuiltinModule('node:http')
  const outgoing = request({ createConnection: () => connection, method, path: url, headers, setHost: false })
  outgoing.on('error', (cause) => reject(broke(cause)))
  connection.once('close', () => reject(broke(new Error('the connection was closed'))))
  return outgoing
}

/** The head of an answer that has none of Node's own writers. */
function answerHead({ statusCode = 502, statusMessage = '' }: IncomingMessage, headers: RawHeaders): Buffer {
  const lines = [`HTTP/1.1 ${statusCode} ${statusMessage}`]
  for (let at = 0; at < headers.length; at += 2) lines.push(`${headers[at]}: ${headers[at + 1]}`)
  return Buffer.from(`${lines.join('\r\n')}\r\n\r\n`, 'latin1')
}
