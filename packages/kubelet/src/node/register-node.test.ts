import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import * as apiserver from '@caisson/apiserver'
import { type Client, createClient, inProcessTransport, resources } from '@caisson/client'
import { expect, test } from 'vitest'
import { readMachine } from './machine.ts'
import { registerNode } from './register-node.ts'

test('a pressure that comes while the node is about to say that it has none is said at once too', async () => {
  await using stack = new AsyncDisposableStack()
  const directory = await mkdtemp(join(tmpdir(), 'caisson-register-'))
  stack.defer(() => rm(directory, { recursive: true }))
  const api = stack.use(
    await apiserver.startApiServer({
      directory: join(directory, 'objects'),
      certificates: join(directory, 'pki'),
      host: '127.0.0.1',
      port: 0,
    }),
  )
  const direct = createClient(inProcessTransport(api.server.connect(apiserver.componentUsers.node('self'))))
  const client: Client = {
    ...direct,
    async get(...args) {
      const current = await direct.get(...args)
      looked.resolve()
      if (isRegistered) await told.promise
      return current
    },
  }
  const machine = await readMachine(directory)
  let isRegistered = false
  let looked = Promise.withResolvers<void>()
  const told = Promise.withResolvers<void>()
  const errors: unknown[] = []
  const node = stack.use(
    await registerNode({
      client,
      facts: async () => ({ name: 'self', machine, handlers: new Map(), pods: 10, version: 'v1.34.0' }),
      signal: new AbortController().signal,
      now: Date.now,
      onError: (error) => errors.push(error),
    }),
  )
  isRegistered = true
  looked = Promise.withResolvers()
  node.isShortOf(new Set())
  await looked.promise
  node.isShortOf(new Set(['DiskPressure']))
  told.resolve()
  await expect
    .poll(async () => (await direct.get(resources.nodes, 'self')).status?.conditions)
    .toContainEqual(expect.objectContaining({ type: 'DiskPressure', status: 'True' }))
  expect(errors).toEqual([])
})
