/** Short ways for the tests of a ScratchNode to say what a Pod is, and to ask what has become of it. */
import { readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { type PodObject, resources } from '@caisson/client'
import type { Container } from 'kubernetes-types/core/v1.d.ts'
import { expect } from 'vitest'
import type { ScratchNode } from './scratch-node.ts'

/** Called `main`, on the image that is a view of this machine. */
export function container(script: string, fields: Partial<Container> = {}): Container {
  return {
    name: 'main',
    image: 'caisson.dev/host',
    imagePullPolicy: 'IfNotPresent',
    command: ['sh', '-c', script],
    ...fields,
  }
}

export function isReady({ status }: PodObject): boolean {
  return status?.conditions?.some(({ type, status }) => type === 'Ready' && status === 'True') ?? false
}

export function isOver({ status }: PodObject): boolean {
  return status?.phase === 'Succeeded' || status?.phase === 'Failed'
}

export function waitsFor(reason: string): (pod: PodObject) => boolean {
  return ({ status }) => status?.containerStatuses?.some(({ state }) => state?.waiting?.reason === reason) ?? false
}

/** What the node said of a Pod, as `Reason message`. */
export function eventsOf({ events }: ScratchNode, name: string): string[] {
  return events.filter((event) => event.startsWith(`${name}: `)).map((event) => event.slice(name.length + 2))
}

/** Whatever is left of a Pod on this machine. */
export async function leftovers(node: ScratchNode, { metadata: { uid = '' } }: PodObject): Promise<string[]> {
  const found: string[] = []
  for (const directory of ['pods', 'logs', 'secrets']) {
    // The last is made for the first Pod that has any.
    const names = await readdir(join(node.dataDirectory, directory)).catch(() => [])
    found.push(...names.filter((name) => name.includes(uid)))
  }
  const sandboxes = await node.runtime.list()
  found.push(...sandboxes.filter(({ spec }) => spec.id.includes(uid)).map(({ spec }) => spec.id))
  const mounts = await readFile('/proc/self/mountinfo', 'utf8')
  found.push(...mounts.split('\n').filter((line) => line.includes(uid)))
  return found
}

/** Deletes a Pod and holds that nothing of it is left. */
export async function remove(node: ScratchNode, name: string): Promise<void> {
  const at = { namespace: 'default' }
  const pod = await node.client.get(resources.pods, name, at)
  await node.client.delete(resources.pods, name, { ...at, gracePeriodSeconds: 1 })
  await node.gone(name)
  await node.kubelet.idle()
  expect(await leftovers(node, pod)).toEqual([])
}
