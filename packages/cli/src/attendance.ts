/**
 * A sandbox that `caisson run` made for itself, or a claim that `caisson claim` made, is of no use without that process, however it ended. The process listens
 * on a socket in the data directory, the cluster's process connects to it, and the kernel tells of the end: nothing is
 * renewed or asked again, a stopped process or a machine that slept stays attended, and a cluster that was started again
 * finds out by connecting.
 */
import { randomUUID } from 'node:crypto'
import { closeSync, mkdirSync, openSync, rmSync } from 'node:fs'
import { connect, createServer, type Socket } from 'node:net'
import { join } from 'node:path'
import { isConditionTrue, SANDBOX_CONDITIONS, type Sandbox } from '@caisson/api'
import { type AnyObject, type Client, type Informer, isConflict, isNotFound } from '@caisson/client'
import type { DataDirectory } from './cluster/data-directory.ts'

/** On a Sandbox or a claim: the name of the socket of the process that it is for. */
const ATTENDED = 'caisson.dev/attended'
/** On a Sandbox that nobody attends, and that is to go when it has ended. */
const REMOVED_WHEN_ENDED = 'caisson.dev/removed-when-ended'

export const removedWhenEnded: Readonly<Record<string, string>> = { [REMOVED_WHEN_ENDED]: 'true' }

/** What a connection fails with where the process has ended: its socket is not there, or nobody listens on it. */
const GONE = new Set(['ENOENT', 'ECONNREFUSED'])
const AGAIN_MS = 2_000
const TOKEN = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/

export interface Attendance extends AsyncDisposable {
  /** For the Sandbox or the claim. */
  annotations: Record<string, string>
}

/** Begins to attend: whatever Sandbox or claim has the annotations goes when this process does. */
export async function attend(directory: DataDirectory): Promise<Attendance> {
  const token = randomUUID()
  mkdirSync(directory.attended, { recursive: true, mode: 0o700 })
  using socket = socketPath(directory, token)
  const server = createServer((watcher) => watcher.on('error', () => undefined).unref())
  const { promise, resolve, reject } = Promise.withResolvers<void>()
  server.once('error', reject)
  server.listen(socket.path, resolve)
  await promise
  server.unref()
  return {
    annotations: { [ATTENDED]: token },
    async [Symbol.asyncDispose]() {
      // What is connected ends with this process.
      server.close()
      rmSync(join(directory.attended, token), { force: true })
    },
  }
}

export interface WatchAttendanceOptions {
  directory: DataDirectory
  /** May delete every object of the kind. */
  client: Client
  informer: Informer<AnyObject>
  onError(error: unknown, where: string): void
}

/** Deletes each attended object of a kind when its process is gone, and those that are to go when they have ended. */
export function watchAttendance({ directory, client, informer, onError }: WatchAttendanceOptions): Disposable {
  const kind = informer.resource.kind.toLowerCase()
  /** By the object's uid. */
  const watched = new Map<string, Socket>()
  const later = new Map<string, NodeJS.Timeout>()
  mkdirSync(directory.attended, { recursive: true, mode: 0o700 })

  function follow(object: AnyObject): void {
    const { uid = '', annotations = {}, deletionTimestamp } = object.metadata
    if (annotations[REMOVED_WHEN_ENDED] === 'true' && !deletionTimestamp && hasEnded(object)) return void remove(object)
    const token = annotations[ATTENDED]
    if (token === undefined || deletionTimestamp || watched.has(uid) || later.has(uid)) return
    // A tenant can write anything there; only a token is ever made a path of.
    if (!TOKEN.test(token)) return
    let socket: Socket
    try {
      using address = socketPath(directory, token)
      socket = connect(address.path)
    } catch (error) {
      return tryLater(object, error)
    }
    watched.set(uid, socket)
    let wasThere = false
    let failure: NodeJS.ErrnoException | undefined
    socket.on('connect', () => {
      wasThere = true
    })
    socket.on('error', (error) => {
      failure = error
    })
    socket.resume().on('close', () => {
      if (watched.get(uid) !== socket) return
      watched.delete(uid)
      if (!wasThere && !GONE.has(failure?.code ?? '')) return tryLater(object, failure)
      rmSync(join(directory.attended, token), { force: true })
      void remove(object)
    })
  }

  /** Nothing was learned of the process: this machine, or this one, has no room for another connection at the moment. */
  function tryLater(object: AnyObject, failure: unknown): void {
    const { uid = '', namespace, name } = object.metadata
    onError(failure, `watching the client of ${kind} ${namespace}/${name}`)
    const timer = setTimeout(() => {
      later.delete(uid)
      follow(object)
    }, AGAIN_MS)
    later.set(uid, timer)
  }

  async function remove({ metadata: { uid = '', name = '', namespace } }: AnyObject): Promise<void> {
    try {
      await client.delete(informer.resource, name, { namespace, preconditions: { uid } })
    } catch (error) {
      if (!isNotFound(error) && !isConflict(error))
        onError(error, `${kind} ${namespace}/${name}, which nobody needs any more`)
    }
  }

  function forget({ metadata: { uid = '' } }: AnyObject): void {
    const socket = watched.get(uid)
    watched.delete(uid)
    socket?.destroy()
    clearTimeout(later.get(uid))
    later.delete(uid)
  }

  const handle = informer.handle({ added: follow, updated: (_old, object) => follow(object), deleted: forget })
  return {
    [Symbol.dispose]() {
      handle[Symbol.dispose]()
      const sockets = [...watched.values()]
      watched.clear()
      for (const socket of sockets) socket.destroy()
      for (const timer of later.values()) clearTimeout(timer)
      later.clear()
    },
  }
}

function hasEnded(object: AnyObject): boolean {
  const { conditions } = (object as Partial<Sandbox>).status ?? {}
  return isConditionTrue(conditions, SANDBOX_CONDITIONS.finished)
}

/** A socket's address has 108 bytes, which a data directory's path may exceed: through an open descriptor it is short. */
function socketPath(directory: DataDirectory, token: string): { path: string } & Disposable {
  const descriptor = openSync(directory.attended, 'r')
  return { path: `/proc/self/fd/${descriptor}/${token}`, [Symbol.dispose]: () => closeSync(descriptor) }
}
