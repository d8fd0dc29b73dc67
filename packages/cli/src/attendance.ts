/**
 * A sandbox that `caisson run` made for itself, a claim of `caisson claim`, or copies of which `caisson fork` has yet to
 * print the names, are of no use without that process, however it ended. The process listens on a socket in the data
 * directory, the cluster's process connects to it, and the kernel tells of the end: nothing is renewed or asked again, a
 * stopped process or a machine that slept stays attended, and a cluster that was started again finds out by connecting.
 */
import { randomUUID } from 'node:crypto'
import { closeSync, existsSync, mkdirSync, openSync, rmSync, writeFileSync } from 'node:fs'
import { connect, createServer, type Socket } from 'node:net'
import { join } from 'node:path'
import { isConditionTrue, SANDBOX_CONDITIONS, type Sandbox } from '@caisson/api'
import { type AnyObject, type Client, type Informer, isConflict, isNotFound, type Resource } from '@caisson/client'
import type { DataDirectory } from './cluster/data-directory.ts'

/** The name of the socket of the process that the object is for. */
const ATTENDED = 'caisson.dev/attended'
/** On a Sandbox that nobody attends, and that is to go when it has ended. */
const REMOVED_WHEN_ENDED = 'caisson.dev/removed-when-ended'

export const removedWhenEnded: Readonly<Record<string, string>> = { [REMOVED_WHEN_ENDED]: 'true' }

/** What a connection fails with where the process has ended: its socket is not there, or nobody listens on it. */
const GONE = new Set(['ENOENT', 'ECONNREFUSED'])
const AGAIN_MS = 2_000
const TOKEN = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/

export interface Attendance extends AsyncDisposable {
  /** For what is to go with this process. */
  annotations: Record<string, string>
  /** From here on all that has the annotations stays, whatever ends. */
  keep(): void
}

/** Begins to attend: whatever Sandbox, claim or snapshot has the annotations goes when this process does. */
export async function attend(directory: DataDirectory): Promise<Attendance> {
  const token = randomUUID()
  mkdirSync(directory.attended, { recursive: true, mode: 0o700 })
  using socket = socketPath(directory, token)
  const watchers = new Set<Socket>()
  const server = createServer((watcher) => {
    watchers.add(watcher)
    watcher.on('error', () => undefined).unref()
  })
  const { promise, resolve, reject } = Promise.withResolvers<void>()
  server.once('error', reject)
  server.listen(socket.path, resolve)
  await promise
  server.unref()
  return {
    annotations: { [ATTENDED]: token },
    keep: () => writeFileSync(keptFile(directory, token), '', { mode: 0o600 }),
    async [Symbol.asyncDispose]() {
      server.close()
      rmSync(join(directory.attended, token), { force: true })
      for (const watcher of watchers) watcher.destroy()
    },
  }
}

export interface WatchAttendanceOptions {
  directory: DataDirectory
  /** May delete and change every object of the kinds. */
  client: Client
  /** Of all kinds that are attended. */
  informers: readonly Informer<AnyObject>[]
  onError(error: unknown, where: string): void
}

interface Attended {
  resource: Resource
  object: AnyObject
  token: string
}

/** Deletes each attended object when its process is gone, unless that has kept it, and those that are to go when they have ended. */
export function watchAttendance({ directory, client, informers, onError }: WatchAttendanceOptions): Disposable {
  /** By the object's uid. */
  const watched = new Map<string, Socket>()
  const later = new Map<string, NodeJS.Timeout>()
  let disposed = false
  /** By the token: the objects that have it, until it is known what becomes of them. */
  const open = new Map<string, Set<string>>()
  mkdirSync(directory.attended, { recursive: true, mode: 0o700 })

  function follow(resource: Resource, object: AnyObject): void {
    const { uid = '', annotations = {}, deletionTimestamp } = object.metadata
    const token = annotations[ATTENDED]
    if (deletionTimestamp || token === undefined) forget(object)
    if (deletionTimestamp) return
    if (later.has(uid)) return
    if (annotations[REMOVED_WHEN_ENDED] === 'true' && hasEnded(object)) return void removeEnded(resource, object)
    // A tenant can write anything there; only a token is ever made a path of.
    if (token === undefined || watched.has(uid) || !TOKEN.test(token)) return
    open.set(token, (open.get(token) ?? new Set()).add(uid))
    attach({ resource, object, token })
  }

  function attach(attended: Attended): void {
    const { uid = '' } = attended.object.metadata
    let socket: Socket
    try {
      using address = socketPath(directory, attended.token)
      socket = connect(address.path)
    } catch (error) {
      return tryLater(attended, error)
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
      if (!wasThere && !GONE.has(failure?.code ?? '')) return tryLater(attended, failure)
      void settle(attended)
    })
  }

  /** Nothing was learned of the process: this machine, or this one, has no room for another connection at the moment. */
  function tryLater(attended: Attended, failure: unknown): void {
    onError(failure, `watching the client of ${shown(attended)}`)
    again(attended.object, () => attach(attended))
  }

  function again({ metadata: { uid = '' } }: AnyObject, action: () => void): void {
    if (disposed) return
    const timer = setTimeout(() => {
      later.delete(uid)
      action()
    }, AGAIN_MS)
    later.set(uid, timer)
  }

  /** The process is gone. */
  async function settle(attended: Attended): Promise<void> {
    const { resource, object, token } = attended
    discard(join(directory.attended, token))
    const settled = existsSync(keptFile(directory, token))
      ? await release(resource, object)
      : await remove(resource, object)
    if (settled) close(token, object.metadata.uid ?? '')
    else again(object, () => attach(attended))
  }

  async function removeEnded(resource: Resource, object: AnyObject): Promise<void> {
    if (!(await remove(resource, object))) again(object, () => void removeEnded(resource, object))
  }

  /** With the last object of a process goes what it has left of itself. */
  function close(token: string, uid: string): void {
    const rest = open.get(token)
    if (!rest?.delete(uid) || rest.size > 0) return
    open.delete(token)
    discard(keptFile(directory, token))
  }

  /** Where it stays it does no harm. */
  function discard(path: string): void {
    try {
      rmSync(path, { force: true })
    } catch (error) {
      onError(error, path)
    }
  }

  function release(resource: Resource, object: AnyObject): Promise<boolean> {
    const { uid = '', name = '', namespace } = object.metadata
    const body = { metadata: { uid, annotations: { [ATTENDED]: null } } }
    const request = client.patch(resource, name, body, { namespace })
    return done(request, `${shown({ resource, object })}, which is kept`)
  }

  function remove(resource: Resource, object: AnyObject): Promise<boolean> {
    const { uid = '', name = '', namespace } = object.metadata
    const request = client.delete(resource, name, { namespace, preconditions: { uid } })
    return done(request, `${shown({ resource, object })}, which nobody needs any more`)
  }

  async function done(request: Promise<unknown>, where: string): Promise<boolean> {
    try {
      await request
    } catch (error) {
      if (isNotFound(error) || isConflict(error)) return true
      onError(error, where)
      return false
    }
    return true
  }

  function forget({ metadata: { uid = '' } }: AnyObject): void {
    const socket = watched.get(uid)
    watched.delete(uid)
    socket?.destroy()
    clearTimeout(later.get(uid))
    later.delete(uid)
    for (const token of open.keys()) close(token, uid)
  }

  using handles = new DisposableStack()
  for (const informer of informers) {
    const { resource } = informer
    handles.use(
      informer.handle({
        added: (object) => follow(resource, object),
        updated: (_old, object) => follow(resource, object),
        deleted: forget,
      }),
    )
  }
  const owned = handles.move()
  return {
    [Symbol.dispose]() {
      disposed = true
      owned.dispose()
      const sockets = [...watched.values()]
      watched.clear()
      for (const socket of sockets) socket.destroy()
      for (const timer of later.values()) clearTimeout(timer)
      later.clear()
    },
  }
}

function shown({ resource, object }: Pick<Attended, 'resource' | 'object'>): string {
  return `${resource.kind.toLowerCase()} ${object.metadata.namespace}/${object.metadata.name}`
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

/** It says, at once for all that was made for a process, that this is to outlive the process. */
function keptFile(directory: DataDirectory, token: string): string {
  return join(directory.attended, `${token}.kept`)
}
