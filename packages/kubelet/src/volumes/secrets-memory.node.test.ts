/** Files of Secrets and tokens, which are in the machine's memory and on no disk. */
import { execFileSync, spawnSync } from 'node:child_process'
import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import * as apiserver from '@caisson/apiserver'
import { resources } from '@caisson/client'
import { readMountTable } from '@caisson/runtime'
import type { Volume } from 'kubernetes-types/core/v1.d.ts'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, onTestFinished, test } from 'vitest'
import { podDirectories } from '../pod-directories.ts'
import { fillDisk } from '../testing/fill-disk.ts'
import { type ScratchNode, startScratchNode } from '../testing/scratch-node.ts'
import { container, eventsOf, isReady, remove } from '../testing/scratch-pods.ts'
import { mountPointsBelow, unmountBelow } from './mounts.ts'
import { removeTree } from './remove-tree.ts'
import { createSecretsMemory, findStraySecrets, removeStraySecrets } from './secrets-memory.ts'

const at = { namespace: 'default' }
const encoded = (text: string): string => Buffer.from(text).toString('base64')
const write = (node: ScratchNode, name: string, text: string) =>
  node.client.apply(
    resources.secrets,
    { metadata: { name, ...at }, data: { key: encoded(text) } },
    { fieldManager: 'test' },
  )
const secret = (name: string): Volume => ({ name, secret: { secretName: name } })
const token: Volume = { name: 'token', projected: { sources: [{ serviceAccountToken: { path: 'token' } }] } }
const shows = (...volumes: Volume[]) => ({
  volumes,
  containers: [
    container(
      'last=; while :; do now=$(cat /*-volume/key); [ "$now" = "$last" ] || echo "$now"; last=$now; sleep 0.1; done',
      {
        volumeMounts: volumes.map(({ name }) => ({ name, mountPath: `/${name}-volume` })),
      },
    ),
  ],
})

describe('on a node with room', () => {
  let node: ScratchNode
  beforeAll(async () => {
    node = await startScratchNode(apiserver)
  })
  afterAll(() => node[Symbol.asyncDispose]())

  /** Files on the disk of the agent and of the runtime that have the text in them. */
  const onDisk = (text: string): string[] => {
    const devices = [node.dataDirectory, node.stateDirectory].flatMap((directory) =>
      execFileSync('find', [directory, '-xdev', '-type', 'f', '-print0'], { encoding: 'utf8' }).split('\0'),
    )
    const { stdout } = spawnSync('xargs', ['-0', 'grep', '-lF', text], { input: devices.join('\0'), encoding: 'utf8' })
    return stdout.split('\n').filter(Boolean)
  }

  test.each(['gvisor', 'runc'])('no disk has them, and changes reach sandboxes (%s)', async (runtimeClassName) => {
    const name = `kept-${runtimeClassName}`
    await write(node, name, `secret-of-${name}`)
    const config = { metadata: { name }, data: { open: `config-of-${name}` } }
    await node.client.create(resources.configMaps, config, at)
    const pod = await node.create(name, {
      runtimeClassName,
      ...shows(secret(name), token, { name: 'config', configMap: { name } }),
    })
    await node.until(name, isReady)
    await expect.poll(() => node.log(name), { timeout: 20_000 }).toBe(`secret-of-${name}\n`)
    const { uid = '' } = pod.metadata
    const directories = podDirectories(node.dataDirectory)
    const issued = await readFile(join(directories.secretVolume(uid, 'token'), 'token'), 'utf8')
    // The log is the container's own to write.
    expect([onDisk(`secret-of-${name}`), onDisk(issued), onDisk(`config-of-${name}`)]).toEqual([
      [directories.log({ ...at, name, uid }, 'main', 0)],
      [],
      expect.arrayContaining([expect.stringContaining(directories.volume(uid, 'config'))]),
    ])

    await write(node, name, 'second')
    await expect.poll(() => node.log(name), { timeout: 20_000 }).toBe(`secret-of-${name}\nsecond\n`)
    await node.restart()
    await write(node, name, 'third')
    await expect.poll(() => node.log(name), { timeout: 20_000 }).toBe(`secret-of-${name}\nsecond\nthird\n`)
    // However many agents there were.
    expect(await mountPointsBelow(directories.secrets)).toEqual([directories.secrets])
    await remove(node, name)
  })

  test('where no Pod has any there is nothing mounted when the agent has ended', async () => {
    await write(node, 'gone', 'of-gone')
    await node.create('gone', shows(secret('gone')))
    await node.until('gone', isReady)
    const { secrets } = podDirectories(node.dataDirectory)
    const mounts: string[][] = []
    const look = async (): Promise<void> => void mounts.push(await mountPointsBelow(secrets))
    await node.restart(look)
    await remove(node, 'gone')
    await node.restart(look)
    expect(mounts).toEqual([[secrets], []])
  })

  test('they go when the node is stopped, and are there again when it starts', async () => {
    await write(node, 'stopped', 'of-stopped')
    await node.create('stopped', shows(secret('stopped')))
    await node.until('stopped', isReady)
    const { secrets } = podDirectories(node.dataDirectory)
    await node.kubelet.stopAll({ graceMs: 0 })
    expect([await mountPointsBelow(secrets), await readdir(secrets)]).toEqual([[], []])
    await node.restart()
    await node.until('stopped', (pod) => isReady(pod) && pod.status?.containerStatuses?.[0]?.restartCount === 1)
    await expect.poll(() => node.log('stopped'), { timeout: 20_000 }).toBe('of-stopped\n')
    await remove(node, 'stopped')
  })
})

describe('on a node with little room', () => {
  const ROOM = 32 * 1024 * 1024
  let node: ScratchNode
  beforeAll(async () => {
    node = await startScratchNode(apiserver, { secretsBytes: ROOM })
    await write(node, 'small', 'x')
    await write(node, 'large', 'x'.repeat(600_000))
  })
  afterAll(() => node[Symbol.asyncDispose]())

  const copies = (name: string, count: number): Volume => ({
    name: 'all',
    secret: {
      secretName: name,
      items: Array.from({ length: count }, (_, index) => ({ key: 'key', path: `key${index}` })),
    },
  })
  const create = (name: string, volume: Volume) =>
    node.create(name, {
      volumes: [volume],
      containers: [container('exec sleep 1000', { volumeMounts: [{ name: volume.name, mountPath: '/volume' }] })],
    })

  test('who takes much leaves half of it to those who take little', async () => {
    await create('first', copies('large', 20))
    await node.until('first', isReady)
    await create('second', copies('large', 20))
    await expect
      .poll(() => [...new Set(eventsOf(node, 'second'))], { timeout: 20_000 })
      .toEqual([
        'FailedMount MountVolume.SetUp failed for volume "all" : the node\'s memory for files of Secrets and tokens is half full, and the rest is for Pods that need no more than 16Ki of it',
      ])
    await remove(node, 'first')
    await node.until('second', isReady)
    await remove(node, 'second')
  })

  test('a Pod waits for room, and says for what', async () => {
    {
      using _full = await fillDisk(podDirectories(node.dataDirectory).secrets)
      await create('waits', copies('small', 1))
      await expect
        .poll(() => [...new Set(eventsOf(node, 'waits'))], { timeout: 20_000 })
        .toEqual([
          'FailedMount MountVolume.SetUp failed for volume "all" : the node\'s memory for files of Secrets and tokens is full',
        ])
    }
    await node.until('waits', isReady)
    await remove(node, 'waits')
  })
})

describe('of a data directory', () => {
  let directory: string
  beforeEach(async () => {
    directory = await mkdtemp(join(tmpdir(), 'caisson-secrets-'))
  })
  afterEach(() => removeTree(directory))
  const errors: string[] = []
  const memory = () =>
    createSecretsMemory({
      directories: podDirectories(directory),
      onError: (_error, where) => errors.push(where),
      sizeBytes: 2 ** 20,
      retryMs: 10,
    })

  test('as long as nothing can be mounted they are on the disk, which is said once', async () => {
    const { secrets, secretVolume, volume } = podDirectories(directory)
    // Nothing is ever mounted at a file.
    await writeFile(secrets, '')
    const { directory: place } = memory()
    const onDisk = volume('uid', 'volume')
    expect([await place('uid', 'volume'), await place('uid', 'volume')]).toEqual([onDisk, onDisk])
    await rm(secrets)
    await expect.poll(() => place('uid', 'volume')).toBe(secretVolume('uid', 'volume'))
    expect(errors).toEqual(['files of Secrets and tokens are on the disk, since nothing can be mounted for them'])
  })

  test('what is on the disk already stays there', async () => {
    const { volume, secretVolume, secrets } = podDirectories(directory)
    await mkdir(volume('uid', 'old'), { recursive: true })
    const { directory: place } = memory()
    expect([await place('uid', 'old'), await place('uid', 'new')]).toEqual([
      volume('uid', 'old'),
      secretVolume('uid', 'new'),
    ])
    expect((await readMountTable()).filter(({ point }) => point === secrets)).toEqual([
      { point: secrets, source: 'caisson-secrets' },
    ])
  })

  test('one that was deleted under them is found, and nothing of it is left', async () => {
    const data = join(directory, 'data')
    const { pods, secrets } = podDirectories(data)
    onTestFinished(() => unmountBelow(secrets))
    await mkdir(pods, { recursive: true })
    const { directory: place } = createSecretsMemory({ directories: podDirectories(data), onError: console.error })
    await mkdir(await place('uid', 'volume'), { recursive: true })
    const found = async (): Promise<string[]> => (await findStraySecrets()).filter((point) => point === secrets)
    expect(await found()).toEqual([])
    spawnSync('rm', ['-rf', data])
    expect(await found()).toEqual([secrets])
    // Of the directories above it, those go that are empty: not the one that was there before.
    await writeFile(join(directory, 'other'), '')
    await removeStraySecrets(secrets)
    expect([await found(), await readdir(directory)]).toEqual([[], ['other']])
  })
})
