/** For tests: a registry on a loopback port that serves the images it is given, and counts what it is asked. */
import { createHash } from 'node:crypto'
import { once } from 'node:events'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { gzipSync } from 'node:zlib'

export interface TinyRegistry extends AsyncDisposable {
  host: string
  /** `GET manifests latest`, `HEAD …`, in order; without the repository. */
  asked: string[]
  /** An image without files, whose configuration says `text`. */
  serve(repository: string, options: { text: string; password?: string }): void
  /** Answers nothing more to `blobs` until it is told to. */
  hold(): void
  release(): void
  stop(): Promise<void>
}

interface Served {
  documents: Map<string, { type: string; bytes: Buffer }>
  password: string | undefined
}

const MANIFEST = 'application/vnd.oci.image.manifest.v1+json'
const CONFIG = 'application/vnd.oci.image.config.v1+json'
const LAYER = 'application/vnd.oci.image.layer.v1.tar+gzip'

export async function startTinyRegistry(): Promise<TinyRegistry> {
  const repositories = new Map<string, Served>()
  const asked: string[] = []
  let held = Promise.resolve()
  let release = (): void => undefined

  async function answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const [, repository = '', kind = '', name = ''] =
      /^\/v2\/(.+)\/(manifests|blobs)\/([^/]+)$/.exec(request.url ?? '') ?? []
    asked.push(`${request.method} ${kind} ${kind === 'manifests' ? name : ''}`.trim())
    const served = repositories.get(repository)
    if (served?.password !== undefined) {
      const expected = `Basic ${Buffer.from(`user:${served.password}`).toString('base64')}`
      if (request.headers.authorization !== expected) {
        response.writeHead(401, { 'www-authenticate': 'Basic realm="tiny"' }).end()
        return
      }
    }
    const document = served?.documents.get(name)
    if (!document) {
      response.writeHead(404).end()
      return
    }
    if (kind === 'blobs') await held
    const { type, bytes } = document
    response.writeHead(200, {
      'content-type': type,
      'content-length': bytes.length,
      'docker-content-digest': digestOf(bytes),
    })
    response.end(request.method === 'HEAD' ? undefined : bytes)
  }

  const server = createServer((request, response) => void answer(request, response))
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  async function stop(): Promise<void> {
    release()
    server.closeAllConnections()
    if (!server.listening) return
    server.close()
    await once(server, 'close')
  }
  return {
    host: `127.0.0.1:${(server.address() as AddressInfo).port}`,
    asked,
    serve(repository, { text, password }) {
      const layer = Buffer.alloc(1024)
      const config = Buffer.from(
        JSON.stringify({
          architecture: process.arch === 'x64' ? 'amd64' : process.arch,
          os: 'linux',
          config: { Cmd: [text] },
          rootfs: { type: 'layers', diff_ids: [digestOf(layer)] },
        }),
      )
      const packed = gzipSync(layer)
      const manifest = Buffer.from(
        JSON.stringify({
          schemaVersion: 2,
          mediaType: MANIFEST,
          config: { mediaType: CONFIG, digest: digestOf(config), size: config.length },
          layers: [{ mediaType: LAYER, digest: digestOf(packed), size: packed.length }],
        }),
      )
      const documents = new Map<string, { type: string; bytes: Buffer }>([
        ['latest', { type: MANIFEST, bytes: manifest }],
        [digestOf(manifest), { type: MANIFEST, bytes: manifest }],
        [digestOf(config), { type: 'application/octet-stream', bytes: config }],
        [digestOf(packed), { type: 'application/octet-stream', bytes: packed }],
      ])
      repositories.set(repository, { documents, password })
    },
    hold() {
      held = new Promise((resolve) => {
        release = resolve
      })
    },
    release: () => release(),
    stop,
    [Symbol.asyncDispose]: stop,
  }
}

function digestOf(bytes: Buffer): string {
  return `sha256:${createHash('sha256').update(bytes).digest('hex')}`
}
