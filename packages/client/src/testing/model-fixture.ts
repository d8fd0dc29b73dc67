/** What tests of informers begin with: a model of a server behind real connections, and records of what is told. */
import type { KubeObject } from '@caisson/api'
import { afterEach, beforeEach, expect, onTestFinished } from 'vitest'
import { createClient } from '../client.ts'
import { createHttpTransport } from '../http-transport.ts'
import { createInformer, type Informer, type InformerOptions } from '../informer.ts'
import { defineResource } from '../resource.ts'
import type { Transport } from '../transport.ts'
import { createModelServer, type ModelOptions, type ModelServer } from './model-server.ts'
import { useScriptedServers } from './scripted-fixture.ts'
import type { ScriptedServer } from './scripted-server.ts'

export const widgets = defineResource<KubeObject>({
  group: 'test.example',
  version: 'v1',
  plural: 'widgets',
  kind: 'Widget',
  namespaced: false,
})
export const timing = { minBackoff: 1, maxBackoff: 4, stableAfter: 1000 }

export interface ModelFixture {
  readonly server: ScriptedServer
  /** Of the last model. */
  readonly transport: Transport
  /** A new model, which the server and the transport are about from now on. */
  serve(options?: ModelOptions): ModelServer
  /** An informer of the last model, until the end of the test. */
  follow(options?: InformerOptions<KubeObject>): Informer<KubeObject>
}

export function useModelServers(): ModelFixture {
  const scripted = useScriptedServers()
  let server: ScriptedServer
  let transport: Transport | undefined
  let models = 0
  function current(): Transport {
    if (!transport) throw new Error('no model is served yet')
    return transport
  }
  beforeEach(async () => {
    server = await scripted.serve()
  })
  afterEach(async () => {
    await transport?.[Symbol.asyncDispose]()
  })
  return {
    get server() {
      return server
    },
    get transport() {
      return current()
    },
    serve(options = { streamedLists: true }) {
      const model = createModelServer(options)
      const path = `/model-${models++}/`
      // What is still on its way from an earlier model must not be counted.
      server.script = (request, response) => {
        if (request.url.startsWith(path)) model.script(request, response)
        else request.socket.destroy()
      }
      transport = createHttpTransport({ ...server.connection, server: server.url + path })
      return model
    },
    follow(options = {}) {
      const informer = createInformer(createClient(current()), widgets, { timing, ...options })
      onTestFinished(() => informer[Symbol.asyncDispose]())
      return informer
    },
  }
}

/** Everything that handlers are told, as a log and as the state that it adds up to. */
export function record(informer: Informer<KubeObject>) {
  const said: string[] = []
  const state: Record<string, KubeObject> = {}
  const broken: string[] = []
  const name = (object: KubeObject) => object.metadata.name ?? ''
  const version = (object: KubeObject) => Number(object.metadata.resourceVersion)
  informer.handle({
    added(object) {
      said.push(`+${name(object)}`)
      if (state[name(object)]) broken.push(`${name(object)} was added twice`)
      state[name(object)] = object
    },
    updated(old, object) {
      said.push(`~${name(object)}`)
      if (state[name(object)] !== old) broken.push(`${name(object)} was updated from another state`)
      if (old.metadata.uid !== object.metadata.uid) broken.push(`${name(object)} changed its UID`)
      if (version(object) <= version(old)) broken.push(`${name(object)} went back in time`)
      state[name(object)] = object
    },
    deleted(object) {
      said.push(`-${name(object)}`)
      if (!state[name(object)]) broken.push(`${name(object)} was deleted twice`)
      delete state[name(object)]
    },
  })
  return { said, state, broken }
}

export function versions(objects: Iterable<KubeObject>): Record<string, string> {
  const pairs = [...objects].map((each) => [
    each.metadata.name,
    `${each.metadata.uid} ${each.metadata.resourceVersion}`,
  ])
  return Object.fromEntries(pairs.sort(([a], [b]) => (String(a) < String(b) ? -1 : 1)))
}

export async function converged(informer: Informer<KubeObject>, model: ModelServer): Promise<void> {
  await expect
    .poll(() => versions(informer.list()), { interval: 1, timeout: 10_000 })
    .toEqual(versions(Object.values(model.state())))
}
