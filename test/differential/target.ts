/** Sends a script to one server and keeps its answers. */

import { Agent, request as httpsRequest } from 'node:https'
import { setTimeout } from 'node:timers/promises'
import type { KubeObject } from '../../packages/api/src/index.ts'
import { decodeYaml } from '../../packages/apiserver/src/http/decode-yaml.ts'
import { decodeProtobuf } from '../../packages/apiserver/src/protobuf/decode.ts'
import { encodeObject, encodeWatchEvent } from '../../packages/apiserver/src/protobuf/encode.ts'
import type { Answer, Memory, Request, Step } from './script.ts'

export interface Target {
  name: string
  /** `https://127.0.0.1:6443` */
  server: string
  ca: string
  token: string
}

/** Every answer, by the step's label. */
export async function runScript(target: Target, steps: readonly Step[]): Promise<Map<string, Answer>> {
  const agent = new Agent({ keepAlive: true, maxSockets: 1, ca: target.ca })
  const answers = new Map<string, Answer>()
  // Labels carry their number in front, which a step that asks for an earlier answer does not know.
  const memory: Memory = {
    answer: (label) =>
      answers.get(label) ??
      answers.get([...answers.keys()].findLast((known) => known.replace(/^\d+ /, '') === label) ?? ''),
  }
  try {
    for (const step of steps) {
      const request = typeof step.request === 'function' ? step.request(memory) : step.request
      answers.set(step.label, await answerTo(target, request, agent))
    }
  } finally {
    agent.destroy()
  }
  return answers
}

async function answerTo(target: Target, request: Request, agent: Agent): Promise<Answer> {
  const deadline = Date.now() + 30_000
  for (;;) {
    const answer = await send(target, request, agent)
    if (request.until && !request.until(answer.body) && Date.now() < deadline) {
      // Nothing announces when a server has published: it has to be asked.
      await setTimeout(100)
      continue
    }
    return request.select && answer.status === 200 ? { ...answer, body: request.select(answer.body) } : answer
  }
}

function send(
  target: Target,
  { method, path, query, body, contentType, accept, headers }: Request,
  agent: Agent,
): Promise<Answer> {
  const url = new URL(target.server + path)
  for (const [key, value] of Object.entries(query ?? {})) url.searchParams.set(key, value)
  const payload = payloadOf(body, contentType)
  const sent = {
    accept: accept ?? 'application/json',
    authorization: `Bearer ${target.token}`,
    'user-agent': 'differential/1.0',
    ...(payload !== undefined && {
      'content-type': contentType ?? 'application/json',
      'content-length': String(Buffer.byteLength(payload)),
    }),
    ...headers,
  }
  return new Promise((resolve, reject) => {
    const outgoing = httpsRequest(url, { method, agent, headers: sent }, (response) => {
      const chunks: Buffer[] = []
      response.on('data', (chunk: Buffer) => chunks.push(chunk))
      response.on('error', reject)
      response.on('end', () => {
        const bytes = Buffer.concat(chunks)
        const type = response.headers['content-type'] ?? ''
        const warning = response.headers['warning']
        resolve({
          status: response.statusCode ?? 0,
          contentType: type,
          warnings: warning === undefined ? [] : warning.split(/, (?=\d{3} )/),
          body: type.startsWith(PROTOBUF) ? decodeMessages(bytes, type) : decode(bytes.toString(), type),
        })
      })
    })
    // A request that is never answered is a difference like any other.
    outgoing.setTimeout(10_000, () => {
      resolve({ status: 0, contentType: '', warnings: [], body: 'no answer within ten seconds' })
      outgoing.destroy()
    })
    outgoing.on('error', (error: NodeJS.ErrnoException) => {
      // A server may answer an oversized body and close before all of it was sent.
      if (error.code === 'EPIPE' || error.code === 'ECONNRESET')
        resolve({ status: 0, contentType: '', warnings: [], body: 'the connection was closed' })
      else reject(error)
    })
    outgoing.end(payload)
  })
}

const PROTOBUF = 'application/vnd.kubernetes.protobuf'

function payloadOf(body: unknown, contentType: string | undefined): string | Buffer | undefined {
  if (body === undefined || typeof body === 'string') return body
  if (contentType !== PROTOBUF) return JSON.stringify(body)
  return Buffer.from(encodeObject(body as KubeObject), 'latin1')
}

/** One object, or the list of a watch's events; each with whether it is written exactly as we would write it. */
function decodeMessages(bytes: Buffer, type: string): unknown {
  if (!type.includes('stream=watch')) return decodeExactly(bytes)
  const events: unknown[] = []
  for (let at = 0; at < bytes.length; ) {
    const end = at + 4 + bytes.readUInt32BE(at)
    const event = bytes.subarray(at + 4, end)
    const name = event.toString('utf8', 2, 2 + (event[1] ?? 0))
    const object = decodeExactly(event.subarray(event.indexOf('k8s\0')))
    const again = Buffer.from(encodeWatchEvent(name, object as KubeObject), 'latin1')
    events.push({ type: name, object, exact: again.equals(bytes.subarray(at, end)) })
    at = end
  }
  return events
}

function decodeExactly(bytes: Buffer): object {
  const object = decodeProtobuf(bytes)
  return { ...object, exact: Buffer.from(encodeObject(object as unknown as KubeObject), 'latin1').equals(bytes) }
}

/** One JSON value, or the list of a watch's events, or the text. */
function decode(text: string, type: string): unknown {
  if (type === 'application/yaml') return decodeYaml(text).value
  if (!type.includes('json')) return text
  try {
    return JSON.parse(text) as unknown
  } catch {
    return text
      .split('\n')
      .filter((line) => line !== '')
      .map((line) => JSON.parse(line) as unknown)
  }
}
