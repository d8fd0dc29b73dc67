/** A server of this process that keeps objects by their path: enough of Kubernetes for those who write a few. */
import type { KubeObject, Status } from '@caisson/api'
import type { ApiRequest, ApiResponse, InProcessServer } from '../transport.ts'

export interface ObjectServer extends InProcessServer {
  objects: Map<string, KubeObject>
  requests: ApiRequest[]
  /** Runs before each request; what it throws or returns is the answer. */
  before: (request: ApiRequest) => Promise<ApiResponse | undefined> | ApiResponse | undefined
}

export function createObjectServer(): ObjectServer {
  const objects = new Map<string, KubeObject>()
  let version = 0

  function store(path: string, object: KubeObject): ApiResponse {
    const metadata = {
      ...object.metadata,
      resourceVersion: String(++version),
      uid: object.metadata.uid ?? `uid-${version}`,
    }
    const stored = { ...object, metadata }
    objects.set(path, stored)
    return { status: 200, body: stored, warnings: [] }
  }

  function handle({ method, path, body }: ApiRequest): ApiResponse {
    if (method === 'POST') {
      const object = body as KubeObject
      const at = `${path}/${object.metadata.name}`
      return objects.has(at) ? refuse(409, 'AlreadyExists') : store(at, object)
    }
    const known = objects.get(path)
    if (!known) return refuse(404, 'NotFound')
    if (method === 'GET') return { status: 200, body: known, warnings: [] }
    if (method === 'PATCH') return store(path, { ...known, ...(body as object) })
    const object = body as KubeObject
    const expected = object.metadata.resourceVersion
    if (expected !== undefined && expected !== known.metadata.resourceVersion) return refuse(409, 'Conflict')
    return store(path, object)
  }

  const server: ObjectServer = {
    objects,
    requests: [],
    before: () => undefined,
    async request(request) {
      server.requests.push(request)
      return (await server.before(request)) ?? handle(request)
    },
    async *watch() {
      yield* []
    },
    async *stream() {
      yield* []
    },
  }
  return server
}

export function refuse(code: number, reason: string): ApiResponse {
  const body: Status = {
    apiVersion: 'v1',
    kind: 'Status',
    metadata: {},
    status: 'Failure',
    message: reason,
    reason,
    code,
  }
  return { status: code, body, warnings: [] }
}
