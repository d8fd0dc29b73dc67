/** Requests for ConfigMaps, as short as tests want them. */
import type { HttpResponse, RunningServer } from './running-server.ts'

export const MERGE = { 'content-type': 'application/merge-patch+json' }
export const JSON_PATCH = { 'content-type': 'application/json-patch+json' }

export const configMap = (name: string, fields: object = {}) => ({
  apiVersion: 'v1',
  kind: 'ConfigMap',
  metadata: { name },
  ...fields,
})

export const namesOf = ({ body }: HttpResponse): string[] =>
  body.items.map((item: { metadata: { name: string } }) => item.metadata.name)

/** What an error says, in one line. */
export const said = ({ status, body }: HttpResponse): string => `${status} ${body.reason}: ${body.message}`

/** @param server looked at when a request is sent */
export function createRequests(server: () => RunningServer) {
  let counter = 0
  const get = (path: string, headers = {}) => server().request('GET', path, { headers })
  const post = (path: string, body: unknown, headers = {}) => server().request('POST', path, { body, headers })
  const put = (path: string, body: unknown) => server().request('PUT', path, { body })
  const patch = (path: string, body: unknown, headers = MERGE) => server().request('PATCH', path, { body, headers })
  const remove = (path: string, body?: unknown) => server().request('DELETE', path, body === undefined ? {} : { body })
  return {
    get,
    post,
    put,
    patch,
    remove,
    /** The path of the ConfigMaps of a new namespace. */
    async collection(): Promise<string> {
      const name = `test-${++counter}`
      await post('/api/v1/namespaces', { metadata: { name } })
      return `/api/v1/namespaces/${name}/configmaps`
    },
  }
}
