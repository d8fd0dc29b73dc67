/** For tests: a registry on a loopback port that behaves as badly as it is told to. */
import { once } from 'node:events'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import type { BuiltImage } from './remote-image-fixture.ts'

export interface ScriptedRegistry extends AsyncDisposable {
  host: string
  /** As they came. */
  requests: Array<{ method: string; path: string; authorization: string | undefined; range: string | undefined }>
}

/** Answers a request, or says with `false` that the next script is to do so. */
export type Script = (request: IncomingMessage, response: ServerResponse) => boolean | Promise<boolean>

export async function startScriptedRegistry(...scripts: Script[]): Promise<ScriptedRegistry> {
  const requests: ScriptedRegistry['requests'] = []
  async function answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const { method = '', url = '', headers } = request
    requests.push({ method, path: url, authorization: headers.authorization, range: headers.range })
    for (const script of scripts) if (await script(request, response)) return
    response.writeHead(404).end()
  }
  const server = createServer((request, response) => void answer(request, response))
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  return {
    host: `127.0.0.1:${(server.address() as AddressInfo).port}`,
    requests,
    async [Symbol.asyncDispose]() {
      server.closeAllConnections()
      server.close()
      await once(server, 'close')
    },
  }
}

/** Serves an image well, in every repository and under every tag. */
export function serves(image: BuiltImage): Script {
  return (request, response) => {
    const [, kind, reference = ''] = /\/(manifests|blobs)\/([^/]+)$/.exec(request.url ?? '') ?? []
    if (kind === 'manifests') {
      const document = reference === image.manifest.digest ? image.manifest : image.index
      send(response, { type: document.mediaType, bytes: Buffer.from(document.text), method: request.method })
      return true
    }
    const bytes = image.blobs.get(reference)
    if (!bytes) return false
    const from = Number(/^bytes=(\d+)-$/.exec(request.headers.range ?? '')?.[1] ?? 0)
    if (from > 0) response.setHeader('content-range', `bytes ${from}-${bytes.length - 1}/${bytes.length}`)
    response.statusCode = from > 0 ? 206 : 200
    send(response, { type: 'application/octet-stream', bytes: bytes.subarray(from), method: request.method })
    return true
  }
}

/** A script for the requests whose path matches. */
export function when(path: RegExp, script: (response: ServerResponse, request: IncomingMessage) => void): Script {
  return (request, response) => {
    if (!path.test(request.url ?? '')) return false
    script(response, request)
    return true
  }
}

/** Only for the first so many requests that match. */
export function first(count: number, script: Script): Script {
  let left = count
  return async (request, response) => {
    if (left === 0 || !(await script(request, response))) return false
    left--
    return true
  }
}

/** A manifest, or something in the place of one. */
export function manifest(mediaType: string, text: string): Script {
  return when(/\/manifests\//, (response, { method }) =>
    send(response, { type: mediaType, bytes: Buffer.from(text), method }),
  )
}

function send(
  response: ServerResponse,
  { type, bytes, method }: { type: string; bytes: Buffer; method: string | undefined },
): void {
  response.setHeader('content-type', type)
  response.setHeader('content-length', bytes.length)
  response.end(method === 'HEAD' ? undefined : bytes)
}
