import { spawn } from 'node:child_process'
import { once } from 'node:events'
import {
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, onTestFinished, test } from 'vitest'
import { type PodDirectories, podDirectories } from '../pod-directories.ts'
import { aPod } from '../pods/observed-pod-fixtures.ts'
import { keepVolumes, type OwnVolume, ownVolumes, restoreVolumes } from './snapshot-volumes.ts'

const owner = { apiVersion: 'agents.x-k8s.io/v1beta1', kind: 'Sandbox', name: 'box', uid: 'box-uid', controller: true }
const pod = aPod({
  spec: {
    containers: [],
    volumes: [
      { name: 'data', emptyDir: {} },
      { name: 'own', persistentVolumeClaim: { claimName: 'own-box' } },
      { name: 'shared', persistentVolumeClaim: { claimName: 'everybody' } },
      { name: 'read', persistentVolumeClaim: { claimName: 'own-box', readOnly: true } },
    ],
  },
})
pod.metadata.ownerReferences = [owner]
const uid = pod.metadata.uid ?? ''

let root: string
let directories: PodDirectories
let volume: string
let target: string
let copying: { programs: string; signal: AbortSignal }
beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'caisson-snapshot-volumes-'))
  directories = podDirectories(root)
  volume = directories.volume(uid, 'data')
  target = join(root, 'kept')
  copying = { programs: directories.programs, signal: new AbortController().signal }
  mkdirSync(volume, { recursive: true })
})
afterEach(() => rmSync(root, { recursive: true }))

/** Process ids of programs whose arguments name our directory. */
function running(): string[] {
  return readdirSync('/proc').filter((id) => {
    if (!/^\d+$/.test(id)) return false
    try {
      return readFileSync(`/proc/${id}/cmdline`, 'utf8').includes(root)
    } catch {
      return false
    }
  })
}

const data = (): OwnVolume => ({ name: 'data', path: volume, filled: directories.filled(uid, 'data') })
const own = (path: string): OwnVolume => ({ name: 'own', path, claimUid: 'claim-uid' })

test('of a Pod are those that live with it, and the claims that are its Sandbox’s', async () => {
  const claims: Record<string, { uid: string; owned: boolean }> = {
    'own-box': { uid: 'claim-uid', owned: true },
    everybody: { uid: 'other-uid', owned: false },
  }
  const found = await ownVolumes(pod, {
    directories,
    sources: {
      async volumeClaim(namespace, name) {
        const claim = claims[name]
        const metadata = { name, namespace, uid: claim?.uid ?? '', ...(claim?.owned && { ownerReferences: [owner] }) }
        const spec = { volumeName: `volume-of-${name}` }
        return { apiVersion: 'v1', kind: 'PersistentVolumeClaim', metadata, spec, status: { phase: 'Bound' } } as never
      },
      async volume(name) {
        const claimRef = { uid: claims[name.replace('volume-of-', '')]?.uid }
        return { metadata: { name }, spec: { local: { path: `/volumes/${name}` }, claimRef } } as never
      },
    },
  })
  expect(found).toEqual([data(), { name: 'own', path: '/volumes/volume-of-own-box', claimUid: 'claim-uid' }])
})

test('volumes come back as they were', async () => {
  writeFileSync(join(volume, 'file'), 'content')
  expect(await keepVolumes([data()], { target, ...copying })).toBeGreaterThan('content'.length)
  rmSync(join(volume, 'file'))
  await restoreVolumes([data()], { source: target, ...copying })
  expect(readFileSync(join(volume, 'file'), 'utf8')).toBe('content')
})

test('a volume that lives with the Pod is filled once, whatever has become of it since', async () => {
  const outside = join(root, 'outside')
  writeFileSync(outside, 'of the machine')
  writeFileSync(join(volume, 'file'), 'content')
  await keepVolumes([data()], { target, ...copying })
  rmSync(join(volume, 'file'))
  const fill = () => restoreVolumes([data()], { source: target, ...copying })
  await fill()
  rmSync(join(volume, 'file'))
  symlinkSync(outside, join(volume, 'file'))
  await fill()
  expect(readFileSync(outside, 'utf8')).toBe('of the machine')
  expect(lstatSync(join(volume, 'file')).isSymbolicLink()).toBe(true)
})

describe('a claim', () => {
  let claim: string
  let another: string
  beforeEach(() => {
    claim = join(root, 'claim')
    another = join(root, 'another')
    mkdirSync(claim)
    mkdirSync(another)
    writeFileSync(join(claim, 'file'), 'content')
  })
  const fill = () => restoreVolumes([own(another)], { source: target, ...copying })

  test('is filled once, and what is written to it afterwards stays', async () => {
    await keepVolumes([own(claim)], { target, ...copying })
    await fill()
    expect(readFileSync(join(another, 'file'), 'utf8')).toBe('content')
    writeFileSync(join(another, 'file'), 'newer')
    rmSync(join(another, 'file'))
    await fill()
    expect(readdirSync(another)).toEqual([])
  })

  test('that has something in it is left alone', async () => {
    await keepVolumes([own(claim)], { target, ...copying })
    writeFileSync(join(another, 'mine'), 'work')
    await fill()
    expect(readdirSync(another)).toEqual(['mine'])
  })

  test('whose filling was cut off is filled anew', async () => {
    await keepVolumes([own(claim)], { target, ...copying })
    writeFileSync(join(another, 'half'), 'con')
    mkdirSync(join(root, 'filled'))
    writeFileSync(join(root, 'filled', 'claim-uid.begun'), '')
    await fill()
    expect(readdirSync(another)).toEqual(['file'])
    expect(readdirSync(join(root, 'filled'))).toEqual(['claim-uid'])
  })

  // Whoever else has it mounted can put one there at any moment.
  test('leads nowhere by its links, neither when it is read nor when it is written', async () => {
    const secret = join(root, 'secret')
    mkdirSync(secret)
    writeFileSync(join(secret, 'file'), 'of the machine')
    rmSync(claim, { recursive: true })
    mkdirSync(claim)
    symlinkSync(secret, join(claim, 'directory'))
    await keepVolumes([own(claim)], { target, ...copying })
    expect(lstatSync(join(target, 'own', 'directory')).isSymbolicLink()).toBe(true)
    mkdirSync(join(root, 'filled'))
    writeFileSync(join(root, 'filled', 'claim-uid.begun'), '')
    symlinkSync(secret, join(another, 'directory'))
    rmSync(join(target, 'own'), { recursive: true })
    mkdirSync(join(target, 'own', 'directory'), { recursive: true })
    writeFileSync(join(target, 'own', 'directory', 'file'), 'of the sandbox')
    await fill()
    expect(readFileSync(join(secret, 'file'), 'utf8')).toBe('of the machine')
    expect(readFileSync(join(another, 'directory', 'file'), 'utf8')).toBe('of the sandbox')
  })
})

/** Has each file and a pipe beside it change names, over and over. */
const EXCHANGE = `
import ctypes, os, sys
libc = ctypes.CDLL(None)
os.chdir(sys.argv[1])
names = [name.encode() for name in os.listdir('.')]
for name in names:
    os.mkfifo(name + b'.pipe')
print('begun', flush=True)
while True:
    for name in names:
        libc.renameat2(-100, name, -100, name + b'.pipe', 2)
`

test('what becomes a pipe while it is copied holds nobody up', async () => {
  for (let number = 0; number < 200; number++) writeFileSync(join(volume, `file-${number}`), 'content')
  const exchange = spawn('python3', ['-c', EXCHANGE, volume], { stdio: ['ignore', 'pipe', 'inherit'] })
  onTestFinished(() => void exchange.kill('SIGKILL'))
  await once(exchange.stdout, 'data')
  for (let copy = 0; copy < 5; copy++)
    await keepVolumes([data()], { target: join(root, `kept-${copy}`), ...copying, longestMs: 5000 })
})

test('a copy that takes too long is given up, with its program', async () => {
  writeFileSync(join(volume, 'file'), Buffer.alloc(64 * 1024 * 1024, 'x'))
  const kept = keepVolumes([data()], { target, ...copying, longestMs: 1 })
  await expect(kept).rejects.toThrow('copying the volumes of the Pod took longer than 0.001 s')
  await expect.poll(running).toEqual([])
})

test('a copy that nobody wants any more is given up, with its program', async () => {
  writeFileSync(join(volume, 'file'), Buffer.alloc(256 * 1024 * 1024, 'x'))
  const stop = new AbortController()
  const kept = keepVolumes([data()], { target, ...copying, signal: stop.signal })
  const outcome = expect(kept).rejects.toThrow('stopped')
  await expect.poll(running, { interval: 1 }).not.toEqual([])
  stop.abort(new Error('stopped'))
  await outcome
  await expect.poll(running).toEqual([])
})
