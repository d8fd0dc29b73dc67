import * as apiserver from '@caisson/apiserver'
import { resources } from '@caisson/client'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { createReferencedObjects } from './referenced-objects.ts'
import { type ScratchNode, startScratchNode } from './testing/scratch-node.ts'

let node: ScratchNode
beforeAll(async () => {
  node = await startScratchNode(apiserver, { fake: true, toolsDirectory: '/nonexistent' })
})
afterAll(() => node[Symbol.asyncDispose]())

const at = { namespace: 'default' }

async function write(name: string, value: string | undefined): Promise<void> {
  if (value === undefined) await node.client.delete(resources.configMaps, name, at)
  else
    await node.client.apply(
      resources.configMaps,
      { metadata: { ...at, name }, data: { value } },
      { ...at, fieldManager: 'test' },
    )
}

test('what was read is told anew when it has changed, as long as somebody refers to it', async () => {
  const changes: string[] = []
  const { promise: changed, resolve } = Promise.withResolvers<void>()
  await using objects = createReferencedObjects({
    client: node.client,
    resource: resources.configMaps,
    onChanged({ namespace, name }) {
      changes.push(`${namespace}/${name}`)
      resolve()
    },
  })
  const seen = { ...at, name: 'seen' }
  const read = async (name = 'seen') => (await objects.read({ ...at, name }))?.data?.['value']
  await write('seen', 'one')
  await write('unread', 'one')
  objects.retain(seen)
  objects.retain(seen)
  objects.retain({ ...at, name: 'unread' })
  objects.retain({ ...at, name: 'missing' })
  expect([await read(), await read('missing')]).toEqual(['one', undefined])
  await write('unread', 'two')
  await write('seen', 'two')
  await changed
  expect(changes).toEqual(['default/seen'])
  expect(await read()).toBe('two')
  await write('missing', 'there')
  await expect.poll(() => changes.length).toBe(2)
  objects.release(seen)
  await write('seen', undefined)
  await expect.poll(() => changes).toEqual(['default/seen', 'default/missing', 'default/seen'])
  expect(await read()).toBeUndefined()
  objects.release(seen)
  // Nobody is told, and reads ask the server.
  await write('seen', 'three')
  expect(await read()).toBe('three')
  expect(changes.length).toBe(3)
})
