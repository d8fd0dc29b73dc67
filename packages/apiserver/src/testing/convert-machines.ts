/**
 * A kind whose versions a webhook converts: `v1` keeps the address in one field, `v2` in two. For tests, and for comparing
 * with a real API server.
 */
import type { Review } from './webhook-server.ts'

export const MACHINES = '/apis/convert.example.com'

export interface ConversionClient {
  url: string
  caBundle: string
}

const text = { type: 'string' }
const SUBRESOURCES = {
  status: {},
  scale: { specReplicasPath: '.spec.replicas', statusReplicasPath: '.status.replicas' },
}

/** @param storage the version in which objects are stored */
export function machineDefinition({ url, caBundle }: ConversionClient, storage = 'v2', path = '/convert'): object {
  const version = (name: string, properties: object): object => ({
    name,
    served: true,
    storage: name === storage,
    subresources: SUBRESOURCES,
    schema: {
      openAPIV3Schema: {
        type: 'object',
        properties: {
          spec: { type: 'object', properties: { replicas: { type: 'integer' }, ...properties } },
          status: { type: 'object', properties: { replicas: { type: 'integer' } } },
        },
      },
    },
  })
  return {
    apiVersion: 'apiextensions.k8s.io/v1',
    kind: 'CustomResourceDefinition',
    metadata: { name: 'machines.convert.example.com' },
    spec: {
      group: 'convert.example.com',
      scope: 'Namespaced',
      names: { plural: 'machines', kind: 'Machine' },
      conversion: {
        strategy: 'Webhook',
        webhook: { clientConfig: { url: `${url}${path}`, caBundle }, conversionReviewVersions: ['v1', 'v1beta1'] },
      },
      versions: [
        version('v1', { address: text, mode: { type: 'string', default: 'old' } }),
        version('v2', { host: text, port: text, mode: { type: 'string', default: 'new' } }),
      ],
    },
  }
}

export function machine(version: 'v1' | 'v2', name: string, spec: object, metadata: object = {}): object {
  return { apiVersion: `convert.example.com/${version}`, kind: 'Machine', metadata: { name, ...metadata }, spec }
}

/** What the webhook answers; its path says what it does wrong. */
export function convertMachines(path: string, { objects, desiredAPIVersion }: Review): object {
  const converted = objects.map((object: Review) => convertMachine(object, desiredAPIVersion))
  const success = { result: { status: 'Success' }, convertedObjects: converted }
  switch (path) {
    case '/failure':
      return { result: { status: 'Failure', message: 'no such machine' } }
    case '/silent':
      return { result: { status: 'Failure' } }
    case '/fewer':
      return { ...success, convertedObjects: [] }
    case '/version':
      return { ...success, convertedObjects: objects }
    case '/name':
      return { ...success, convertedObjects: converted.map((each: Review) => renamed(each, { name: 'other' })) }
    case '/label':
      return { ...success, convertedObjects: converted.map((each: Review) => renamed(each, { labels: { a: 'b c' } })) }
    case '/metadata':
      return { ...success, convertedObjects: converted.map((each: Review) => ({ ...each, metadata: undefined })) }
    case '/uid':
      return { ...success, uid: 'other' }
    case '/more':
      return { ...success, convertedObjects: converted.map((each: Review) => ({ ...each, unknown: 'pruned' })) }
    default:
      return success
  }
}

function renamed(object: Review, metadata: object): Review {
  return { ...object, metadata: { ...object.metadata, ...metadata } }
}

function convertMachine(object: Review, apiVersion: string): Review {
  const { address, host, port, ...spec } = object.spec ?? {}
  const [first = '', second = ''] = (address ?? '').split(':')
  const { annotations, ...metadata } = object.metadata
  return {
    ...object,
    apiVersion,
    // What a webhook may not change is put back, and what it may is kept.
    metadata: { ...metadata, generation: 99, annotations: { ...annotations, converted: apiVersion } },
    spec: apiVersion.endsWith('/v2')
      ? { ...spec, ...(address !== undefined && { host: first, port: second }) }
      : { ...spec, ...((host !== undefined || port !== undefined) && { address: `${host ?? ''}:${port ?? ''}` }) },
  }
}
