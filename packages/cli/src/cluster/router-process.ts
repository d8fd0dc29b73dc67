/**
 * The router's process: begun when somebody connects to it for the first time, ended when nobody has for a while, begun
 * again when it dies. It acts as its own ServiceAccount, and may read no file but its program's and those of its own
 * directory. It listens on sockets in there alone, to which this process carries what `port-forward` brings, and what Pods
 * bring that may: neither users of this machine nor pages in their browsers can reach it but through the API server, and
 * Pods have to show whose they are.
 */

import { type ChildProcess, spawn } from 'node:child_process'
import { mkdirSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { connect, type Socket } from 'node:net'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import type { Duplex } from 'node:stream'
import { CONTROLLER_NAMESPACE } from '@caisson/api'
import { type Client, resources } from '@caisson/client'
import type { SystemProcesses } from '@caisson/kubelet'
import { ROUTER, ROUTER_PORT, startOfProcess } from './system-pods.ts'

export interface KeepRouterOptions {
  processes: SystemProcesses
  /** Private to this user, and the router's alone. */
  directory: string
  /** Of the administrator, who lends it its account. */
  client: Client
  /** `https://127.0.0.1:PORT` */
  server: string
  /** PEM. */
  authority: string
  /** How long nobody has to be connected before it is ended, ms. Five minutes unless given. */
  idleMs?: number
  onError(error: unknown, where: string): void
}

const SOCKET = 'socket'
const DOOR = 'door'
const REVIEWED = 'reviewed'
/** A third of a second on a machine that has nothing else to do. */
const START_MS = 60_000
/** Longer than a person thinks between two commands; what ends then is begun again in a third of a second. */
const IDLE_MS = 300_000
const FIRST_BACK_OFF_MS = 1000
const LONGEST_BACK_OFF_MS = 60_000
/** One that ran so long did not fail to start: the next one is begun at once. */
const HEALTHY_MS = 60_000
const TOKEN_SECONDS = 24 * 3600
const TOKEN_RENEWAL_MS = (TOKEN_SECONDS * 1000) / 2

interface Running {
  child: ChildProcess
  /** Where its sockets are, by a path that is short whatever the directory's is. */
  directory: string
  connections: number
}

export interface KeptRouter extends AsyncDisposable {
  /** Connects to the runtime API of a Sandbox whose Pod has nobody on that port. */
  answerFor(sandbox: { namespace: string; name: string; uid: string }, port: number): Promise<Duplex>
  /** Connects the Pod with that address, which its requests count by; they need a token of the cluster. */
  connectPod(ip: string): Promise<Socket>
}

/** Shows the router's Pod at once, and starts nothing yet. */
export function keepRouter(options: KeepRouterOptions): KeptRouter {
  const { processes, idleMs = IDLE_MS, onError } = options
  const shown = processes.register({
    namespace: CONTROLLER_NAMESPACE,
    app: ROUTER,
    connect: connectTo,
    // What is there for whoever connects is this process's door.
    state: { phase: 'running', pid: process.pid, startedAt: startOfProcess(), ready: true },
  })
  let starting: Promise<Running> | undefined
  let running: Running | undefined
  let isStopped = false
  let backOffMs = 0
  let notBefore = 0
  let idle: NodeJS.Timeout | undefined
  let renewal: NodeJS.Timeout | undefined
  /** The end of one that was idle: its sockets are in the place of the next one's. */
  let leaving: Promise<void> | undefined

  async function connectTo(port: number): Promise<Duplex> {
    if (port !== ROUTER_PORT) throw new Error(`the router listens on port ${ROUTER_PORT}, not on ${port}`)
    return await connectToSocket(SOCKET)
  }

  async function connectToSocket(name: string): Promise<Socket> {
    clearTimeout(idle)
    const router = await (starting ??= start())
    const socket = connect({ path: `${router.directory}/${name}`, allowHalfOpen: true })
    router.connections++
    socket.once('close', () => {
      router.connections--
      if (router.connections === 0 && router === running) waitForIdleness(router)
    })
    const { promise, resolve, reject } = Promise.withResolvers<Socket>()
    socket.once('error', reject).once('connect', () => resolve(socket))
    return promise.finally(() => {
      socket.off('error', reject)
      socket.on('error', () => {})
    })
  }

  /** What the router has to know of a connection is said before anything that its client says. */
  async function connectAbout(name: string, about: object): Promise<Socket> {
    const connection = await connectToSocket(name)
    connection.write(`${JSON.stringify(about)}\n`)
    return connection
  }

  function waitForIdleness({ child }: Running): void {
    clearTimeout(idle)
    idle = setTimeout(() => {
      running = undefined
      starting = undefined
      leaving = new Promise((resolve) => child.once('exit', () => resolve()))
      // It does nothing, and whoever comes from here on waits until it has ended.
      child.kill('SIGKILL')
    }, idleMs).unref()
  }

  async function start(): Promise<Running> {
    try {
      if (isStopped) throw new Error('the cluster is ending')
      const wait = notBefore - performance.now()
      if (wait > 0) throw new Error(`the router ended: it is started again in ${Math.ceil(wait / 1000)} s`)
      await leaving
      await prepare(options)
      const router = await launch(options, shown.log)
      running = router
      follow(router)
      return router
    } catch (error) {
      starting = undefined
      if (notBefore <= performance.now()) backOff()
      throw error
    }
  }

  function follow(router: Running): void {
    const startedAt = performance.now()
    renewal = setInterval(() => {
      lendToken(options).catch((error: unknown) => onError(error, 'the router’s token'))
    }, TOKEN_RENEWAL_MS).unref()
    const { pid, startedAt: shownSince } = shown.state
    router.child.once('exit', (code, signal) => {
      clearInterval(renewal)
      clearTimeout(idle)
      if (router !== running) return
      running = undefined
      starting = undefined
      if (code === 0 || isStopped) return
      if (performance.now() - startedAt > HEALTHY_MS) backOffMs = 0
      const exitCode = code ?? 128 + 9
      onError(new Error(`it ended with ${signal ?? `exit code ${code}`}`), 'the router')
      shown.update({ phase: 'exited', pid, startedAt: shownSince, finishedAt: Date.now(), exitCode })
      setTimeout(showAgain, backOff()).unref()
    })
  }

  /** Gives how long nothing is started now, ms. */
  function backOff(): number {
    backOffMs = Math.min(Math.max(backOffMs * 2, FIRST_BACK_OFF_MS), LONGEST_BACK_OFF_MS)
    notBefore = performance.now() + backOffMs
    return backOffMs
  }

  function showAgain(): void {
    if (!isStopped)
      shown.update({ phase: 'running', pid: process.pid, startedAt: Math.floor(Date.now() / 1000) * 1000, ready: true })
  }

  return {
    connectPod: (peer) => connectAbout(REVIEWED, { peer }),
    answerFor: ({ namespace, name: id, uid }, port) => connectAbout(DOOR, { namespace, id, uid, port }),
    async [Symbol.asyncDispose]() {
      isStopped = true
      clearTimeout(idle)
      clearInterval(renewal)
      const router = running ?? (await starting?.catch(() => undefined))
      if (router && router.child.exitCode === null && router.child.signalCode === null) {
        const ended = new Promise((resolve) => router.child.once('exit', resolve))
        router.child.kill('SIGKILL')
        await ended
      }
      await leaving
      shown[Symbol.dispose]()
    },
  }
}

/** The directory with all that the process is given. */
async function prepare(options: KeepRouterOptions): Promise<void> {
  const { directory, server, authority } = options
  mkdirSync(directory, { recursive: true, mode: 0o700 })
  for (const name of [SOCKET, DOOR, REVIEWED]) rmSync(join(directory, name), { force: true })
  const content = {
    apiVersion: 'v1',
    kind: 'Config',
    clusters: [
      { name: ROUTER, cluster: { server, 'certificate-authority-data': Buffer.from(authority).toString('base64') } },
    ],
    users: [{ name: ROUTER, user: { tokenFile: join(directory, 'token') } }],
    contexts: [{ name: ROUTER, context: { cluster: ROUTER, user: ROUTER, namespace: CONTROLLER_NAMESPACE } }],
    'current-context': ROUTER,
  }
  writeFileSync(join(directory, 'kubeconfig'), JSON.stringify(content), { mode: 0o600 })
  await lendToken(options)
}

async function lendToken({ client, directory }: KeepRouterOptions): Promise<void> {
  const { status } = await client.createSubresource<{ status: { token: string } }>(
    resources.serviceAccounts,
    ROUTER,
    'token',
    {
      apiVersion: 'authentication.k8s.io/v1',
      kind: 'TokenRequest',
      spec: { audiences: [], expirationSeconds: TOKEN_SECONDS },
    },
    { namespace: CONTROLLER_NAMESPACE },
  )
  const file = join(directory, 'token')
  writeFileSync(`${file}.new`, status.token, { mode: 0o600 })
  renameSync(`${file}.new`, file)
}

/** Resolves when it listens. */
async function launch({ directory }: KeepRouterOptions, log: (line: string) => void): Promise<Running> {
  const program = process.argv[1] ?? ''
  const child = spawn(
    process.execPath,
    [
      ...process.execArgv,
      '--permission',
      '--allow-net',
      ...[programDirectory(program), directory].map((path) => `--allow-fs-read=${path}`),
      `--allow-fs-write=${directory}`,
      program,
      'router',
      '--kubeconfig',
      join(directory, 'kubeconfig'),
      '--listen',
      `unix:${SOCKET}`,
      '--listen-door',
      `unix:${DOOR}`,
      '--listen-reviewed',
      `unix:${REVIEWED}`,
      '--until-stdin-ends',
    ],
    // Its standard input ends with this process, whatever this one dies of.
    { cwd: directory, env: { PATH: '' }, stdio: ['pipe', 'pipe', 'pipe'] },
  )
  const { promise, resolve, reject } = Promise.withResolvers<void>()
  const timer = setTimeout(() => reject(new Error('the router does not come to listen')), START_MS)
  child.once('error', reject)
  child.once('exit', (code, signal) => reject(new Error(`the router ended with ${signal ?? `exit code ${code}`}`)))
  child.stdin.on('error', () => {})
  createInterface(child.stderr).on('line', log)
  createInterface(child.stdout).on('line', (line) => {
    log(line)
    if (line.startsWith('listening: ')) resolve()
  })
  try {
    await promise
  } catch (error) {
    child.kill('SIGKILL')
    throw error
  } finally {
    clearTimeout(timer)
  }
  return { child, directory: `/proc/${child.pid}/cwd`, connections: 0 }
}

/** Of the checkout or of the installed package: where all is that the program loads. */
function programDirectory(program: string): string {
  const at = /^(.*)\/(?:packages\/cli\/src|dist)\/[^/]+$/.exec(program)?.[1]
  if (at === undefined) throw new Error(`${program} is not where Caisson's program is`)
  return at
}
