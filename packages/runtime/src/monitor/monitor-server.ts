import { closeSync, readdirSync, rmSync } from 'node:fs'
import { connect, createServer, type Socket } from 'node:net'
import { dirname, join } from 'node:path'
import { unmountBelow } from '../mount-points.ts'
import { readRecord } from '../read-record.ts'
import { RuntimeError } from '../runtime-error.ts'
import { runCommand } from '../tools/run-command.ts'
import { createCalmSentries } from './calm-sentries.ts'
import { EXIT_FILE, SUPERVISION_FILE, type SupervisionRecord } from './container-files.ts'
import { abandonExecs, execForClient } from './exec-session.ts'
import { createFifoPool } from './fifo-pool.ts'
import {
  type Answer,
  type Call,
  DONE,
  type Errand,
  type ErrandOutcome,
  type Failure,
  FRAME,
  type Opening,
  parseFrame,
  readFrames,
  type Started,
  UNKNOWN,
  writeFrame,
  writeJsonFrame,
} from './protocol.ts'
import { runInside } from './run-inside.ts'
import { createSentryKeeper } from './sentry-keeper.ts'
import { shortPath } from './short-path.ts'
import { adoptContainer, type PreparedContainer, prepareContainer, superviseContainer } from './supervised-container.ts'
import { tellFailure } from './tell-failure.ts'
import type { AttachedClient, SupervisedContainer } from './watch-container.ts'

/** Environment variable that names the descriptor to close once we listen. */
export const READY_FD = 'CAISSON_MONITOR_READY_FD'
export const MONITOR_SOCKET = 'monitor.sock'
const FIFO_DIRECTORY = 'fifos'
const CONTAINERS_DIRECTORY = 'containers'

// Long enough for a runtime that is being restarted.
const IDLE_MS = 10_000

/**
 * The process that holds the output of every container of one state directory, so that the runtime may be killed and
 * started again without anybody inside noticing. It knows of containers only what `Supervision` says. When it is killed
 * itself, the next one goes on: output waits in named pipes, exit statuses are written down by each container's reaper.
 */
export async function runMonitor(stateDirectory: string): Promise<void> {
  const socket = shortPath(join(stateDirectory, MONITOR_SOCKET))
  if (await answers(socket.path)) return
  rmSync(socket.path, { force: true })
  const pool = createFifoPool(join(stateDirectory, FIFO_DIRECTORY))
  const containers = new Map<string, SupervisedContainer>()
  /** By directory: what is made ahead gets its id later. */
  const prepared = new Map<string, Preparing>()
  const controls = new Set<Socket>()
  const calm = createCalmSentries()
  const keeper = createSentryKeeper()
  /** By id: who waits for containers that are being started. */
  const expecting = new Map<string, Set<(container: SupervisedContainer) => void>>()

  let running = 0
  let idle: NodeJS.Timeout | undefined

  /**
   * Without a container there is nothing to watch, and without a runtime nobody will ask for one. Called whenever either
   * changes, in both directions: a timer that ran on would end what has begun meanwhile.
   */
  function considerRetiring(): void {
    clearTimeout(idle)
    if (isIdle()) idle = setTimeout(() => void retireIf(isIdle), IDLE_MS)
  }

  function isIdle(): boolean {
    return running === 0 && controls.size === 0
  }

  /** Leaves nothing that still writes into the state directory: whoever waits for the end may remove it. */
  async function retireIf(unused: () => boolean): Promise<void> {
    await pool.settled()
    if (!unused()) return
    tellFailure(() => rmSync(join(stateDirectory, MONITOR_SOCKET), { force: true }))
    process.exit(0)
  }

  function keep(container: SupervisedContainer): void {
    containers.set(container.supervision.id, container)
    running++
    considerRetiring()
    calm.follow(container)
    void announceExit(container)
    for (const resolve of expecting.get(container.supervision.id) ?? []) resolve(container)
    expecting.delete(container.supervision.id)
  }

  async function announceExit({ supervision: { id }, exited }: SupervisedContainer): Promise<void> {
    const state = await exited
    running--
    considerRetiring()
    for (const control of controls) writeJsonFrame(control, FRAME.exit, { id, state })
  }

  /** Never settles where it is not started, or the connection goes before. */
  function whenKept(id: string, connection: Socket): Promise<SupervisedContainer> {
    const { promise, resolve } = Promise.withResolvers<SupervisedContainer>()
    const waiting = expecting.get(id) ?? new Set()
    expecting.set(id, waiting.add(resolve))
    connection.once('close', () => {
      waiting.delete(resolve)
      if (waiting.size === 0 && expecting.get(id) === waiting) expecting.delete(id)
    })
    return promise
  }

  function started(container: SupervisedContainer): Started {
    keep(container)
    return { pid: container.running.pid, startedAt: container.running.startedAt }
  }

  async function prepare({ supervision, held }: Extract<Call, { method: 'prepare' }>, control: Socket): Promise<void> {
    const container = prepareContainer(supervision, held, pool)
    const { directory } = supervision
    prepared.set(directory, { container, control, taken: undefined })
    await container
  }

  /** Ends what was prepared in a directory, also where that goes on; resolves once it has, whoever asked for it first. */
  async function takeAway(directory: string): Promise<void> {
    const preparing = prepared.get(directory)
    if (!preparing) return
    preparing.taken ??= endPrepared(preparing.container).finally(() => prepared.delete(directory))
    await preparing.taken
  }

  /** As long as its runtime was not told that it runs, what it asked for is nobody's without it. */
  async function abandon(directory: string): Promise<void> {
    try {
      await takeAway(directory)
      await unmountBelow(directory)
    } catch (error) {
      // Nobody waits for it; the runtime takes away what it finds.
      console.error(error)
    }
  }

  async function handle(call: Call, control: Socket): Promise<unknown> {
    switch (call.method) {
      case 'start':
        return started(await superviseContainer(call.supervision, pool))
      case 'prepare':
        await prepare(call, control)
        return null
      case 'begin': {
        const { supervision, beginning } = call
        const { preparedIn = supervision.directory } = beginning
        const preparing = prepared.get(preparedIn)
        if (!preparing || preparing.taken)
          throw new RuntimeError('failed', `container ${supervision.id} is not prepared any more`)
        prepared.delete(preparedIn)
        return started(await (await preparing.container).begin(supervision, beginning))
      }
      case 'run-inside':
        await runInside(call.inside)
        return null
      case 'pause':
        await keeper.pause(call.sentry, control)
        return DONE
      case 'resume':
        await keeper.resume(call.sentry)
        return DONE
      case 'save':
        await keeper.save(call.saving)
        return DONE
      case 'run':
        return runErrand(call.errand)
      case 'rouse':
        calm.rouse(call.directory)
        return null
      case 'expect-kill':
        containers.get(call.id)?.expectKill()
        return null
      case 'forget':
        containers.delete(call.id)
        await takeAway(call.directory)
        return null
      case 'ping':
        return process.pid
      case 'retire':
        // After the answer was sent.
        if (running === 0) setImmediate(() => void retireIf(() => running === 0))
        return running === 0
      default:
        return UNKNOWN
    }
  }

  function serveControl(control: Socket, payload: Buffer): void {
    const call = parseFrame<Call>(payload)
    handle(call, control).then(
      (result) => writeJsonFrame(control, FRAME.answer, { call: call.call, result } satisfies Answer),
      (error: unknown) =>
        writeJsonFrame(control, FRAME.answer, { call: call.call, failure: asFailure(error) } satisfies Answer),
    )
  }

  async function open(opening: Opening, connection: Socket): Promise<AttachedClient | undefined> {
    if (opening.kind === 'control') {
      controls.add(connection)
      considerRetiring()
      connection.on('close', () => {
        controls.delete(connection)
        keeper.release(connection)
        for (const [directory, { control }] of prepared) if (control === connection) void abandon(directory)
        considerRetiring()
      })
      return undefined
    }
    if (opening.kind === 'exec') {
      calm.rouse(dirname(opening.directory))
      return execForClient(opening, connection, pool)
    }
    const container = containers.get(opening.id) ?? (opening.expected && (await whenKept(opening.id, connection)))
    if (!container) throw new RuntimeError('not-found', `container ${opening.id} is not running`)
    return container.attach(connection)
  }

  async function begin(
    connection: Socket,
    { kind }: Opening,
    opening: Promise<AttachedClient | undefined>,
  ): Promise<void> {
    try {
      const client = await opening
      if (kind !== 'control') writeFrame(connection, FRAME.opened)
      client?.begin()
    } catch (error) {
      writeJsonFrame(connection, FRAME.failed, asFailure(error))
      connection.end()
    }
  }

  function serve(connection: Socket): void {
    let opening: Promise<AttachedClient | undefined> | undefined
    let kind: Opening['kind'] | undefined
    function take(type: number, payload: Buffer): void {
      if (!opening) {
        if (type !== FRAME.open) return void connection.destroy()
        const request = parseFrame<Opening>(payload)
        kind = request.kind
        opening = open(request, connection)
        void begin(connection, request, opening)
        return
      }
      if (kind === 'control') return serveControl(connection, payload)
      void opening.then((client) => client && serveClient(connection, client, { type, payload })).catch(() => {})
    }

    readFrames(connection, (type, payload) => {
      try {
        take(type, payload)
      } catch (error) {
        // It was not sent by us, or by one of another version: all others go on.
        console.error(error)
        connection.destroy()
      }
    })
    connection.on('error', () => {})
    connection.on('close', () => void opening?.then((client) => client?.detach()).catch(() => {}))
  }

  await adoptAll(stateDirectory, keep)
  const server = createServer({ allowHalfOpen: false }, serve)
  const { promise, resolve, reject } = Promise.withResolvers<void>()
  server.once('error', reject)
  // 0600 from the start: the directory is private too, but nobody shall have to rely on one of the two.
  const umask = process.umask(0o177)
  server.listen(socket.path, resolve)
  await promise
  // About a connection that could not be taken, of which who connects hears.
  server.on('error', (error) => console.error(error))
  process.umask(umask)
  await pool.place([])
  announceReady()
  considerRetiring()
}

function announceReady(): void {
  const fd = Number(process.env[READY_FD])
  if (Number.isInteger(fd) && fd > 2) closeSync(fd)
}

interface Frame {
  type: number
  payload: Buffer
}

function serveClient(connection: Socket, client: AttachedClient, { type, payload }: Frame): void {
  if (type === FRAME.stdin && !client.write(payload)) {
    connection.pause()
    client.onDrain(() => connection.resume())
  }
  if (type === FRAME.stdinEnd) client.endInput()
  if (type === FRAME.resize) client.resize(parseFrame(payload))
}

async function runErrand({ program, args, ...options }: Errand): Promise<ErrandOutcome> {
  try {
    return await runCommand(program, args, options)
  } catch (error) {
    return { failure: (error as Error).message }
  }
}

interface Preparing {
  container: Promise<PreparedContainer>
  /** Whose it is. */
  control: Socket
  /** It is being taken away. */
  taken: Promise<void> | undefined
}

async function endPrepared(preparing: Promise<PreparedContainer>): Promise<void> {
  // What could not be made is told to whoever asked for it.
  const container = await preparing.catch(() => undefined)
  await container?.[Symbol.asyncDispose]()
}

/**
 * Goes on with the containers of a monitor that is no more. Rejects where it cannot be known whether there is something to
 * go on with: then the next monitor finds it as this one did, where one that was left out would be watched by nobody.
 */
async function adoptAll(stateDirectory: string, keep: (container: SupervisedContainer) => void): Promise<void> {
  const root = join(stateDirectory, CONTAINERS_DIRECTORY)
  for (const name of readdirSync(root, { withFileTypes: true }).filter((entry) => entry.isDirectory())) {
    const directory = join(root, name.name)
    if ((await readRecord(join(directory, EXIT_FILE))) !== undefined) continue
    const record = await readRecord<SupervisionRecord>(join(directory, SUPERVISION_FILE))
    // Without `running` nobody was told that it runs, and the runtime takes it away.
    if (!record?.running) continue
    const container = adoptContainer(record.supervision, record.running)
    if (!container) continue
    keep(container)
    await abandonExecs(directory, record.running.pid)
  }
}

function asFailure(error: unknown): Failure {
  if (error instanceof RuntimeError) return { code: error.code, message: error.message }
  return { code: 'failed', message: error instanceof Error ? error.message : String(error) }
}

async function answers(path: string): Promise<boolean> {
  const { promise, resolve } = Promise.withResolvers<boolean>()
  const probe = connect(path)
  probe.on('connect', () => resolve(true))
  probe.on('error', () => resolve(false))
  const result = await promise
  probe.destroy()
  return result
}
