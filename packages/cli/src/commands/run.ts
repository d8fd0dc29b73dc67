import { randomBytes } from 'node:crypto'
import { resolve } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import type { Sandbox } from '@caisson/api'
import {
  attachToPod,
  type Client,
  type ConnectAhead,
  isAlreadyExists,
  type PodObject,
  type ResourceEvent,
  resources,
} from '@caisson/client'
import { copyStreams, requireTerminal } from '../attached-terminal.ts'
import { attend } from '../attendance.ts'
import { CliError, EXIT_CODES } from '../cli-error.ts'
import type { DataDirectory } from '../cluster/data-directory.ts'
import { openSession, type Session } from '../cluster/session.ts'
import { copyLog } from '../copy-log.ts'
import { parseDuration } from '../duration.ts'
import type { GlobalOptions } from '../global-options.ts'
import { noteTime } from '../note-time.ts'
import { sandboxes } from '../sandboxes.ts'
import { watchNamed } from '../watch-named.ts'

export interface RunCommandOptions extends GlobalOptions {
  command: string[]
  detach?: boolean
  name?: string
  rm?: boolean
  keep?: boolean
  interactive?: boolean
  tty?: boolean
  image: string
  pull: 'missing' | 'always' | 'never'
  runtimeClass?: string
  env: string[]
  volume: string[]
  /** What it reaches, and who reaches it. */
  network: 'none' | 'isolated' | 'open'
  publish: string[]
  workdir?: string
  user?: string
  cpu?: string
  memory: string
  storage: string
  timeout?: string
  snapshot?: string
}

/**
 * Where sandboxes with directories or ports of this machine live: Pod Security allows it there, RBAC only to
 * administrators.
 */
const HOST_NAMESPACE = 'caisson-host-volumes'
const NOBODY = 65_534
const CONTAINER = 'main'

/** Runs a command as a sandbox's own process and ends with its exit code. */
export async function run(options: RunCommandOptions): Promise<void> {
  const terminal = { interactive: options.interactive ?? false, tty: options.tty ?? false }
  requireTerminal(terminal)
  if (options.snapshot !== undefined)
    return (await import('./run-snapshot.ts')).runSnapshot({ ...options, snapshot: options.snapshot })
  if (options.rm && options.keep) throw new CliError('usage', '--rm and --keep contradict each other: choose one')
  const timeoutMs = options.timeout === undefined ? undefined : parseDuration('--timeout', options.timeout)
  if (options.publish.length > 0 && options.network === 'none')
    throw new CliError('usage', '--publish and --network none contradict each other: choose one')
  let spec = podSpec(options)
  const stop = stopSignal(timeoutMs)
  await using session = await openSession({ ...options, start: true })
  // The handshake goes on while the rest is made ready.
  const connected = connectAhead(session)
  const touchesHost = options.volume.length > 0 || options.publish.length > 0
  const namespace = touchesHost ? HOST_NAMESPACE : session.namespace
  if (touchesHost) await ensureHostNamespace(session)
  if (session.embedded) {
    try {
      await ensureImage(session.embedded, options, stop.signal)
    } catch (error) {
      if (!stop.signal.aborted) throw error
      process.exitCode = stop.exitCode()
      return
    }
    // The node need not ask again.
    if (options.pull === 'always') spec = podSpec({ ...options, pull: 'missing' })
  }
  const name = options.name ?? `run-${randomBytes(4).toString('hex')}`

  const remove = options.rm || (!options.keep && !options.detach)
  // Whatever ends this process, its sandbox ends too.
  await using attendance = remove && !options.detach && session.embedded ? await attend(session.embedded) : undefined
  await connected
  noteTime('create request')
  const creation = createSandbox(session, {
    name,
    namespace,
    spec,
    timeoutMs,
    annotations: attendance?.annotations,
    network: options.network,
  })
  if (options.detach) {
    await creation
    console.log(name)
    if (touchesHost)
      console.error(`caisson: it is in the namespace ${namespace}: 'caisson -n ${namespace} logs ${name}'`)
    return
  }
  // It begins with how the Pod is by then: nothing is missed, whichever of the two requests is served first.
  const pod = followPod(watchNamed(session.client, resources.pods, { namespace, name, signal: stop.signal }))
  // While the sandbox is made, and before it starts: then it needs the processors itself.
  if (session.embedded) void connectAhead(session, { webSocket: true })
  await creation
  try {
    process.exitCode = await stop.race(runToEnd(session, { name, namespace, terminal, pod, signal: stop.signal }))
  } catch (error) {
    if (!stop.signal.aborted) throw error
    process.exitCode = stop.exitCode()
    if (process.exitCode === EXIT_CODES['timed-out'])
      console.error(`caisson: ${name} did not end within ${options.timeout} and was stopped`)
  } finally {
    stop.abort()
    if (remove) await session.client.delete(sandboxes, name, { namespace }).catch(() => undefined)
  }
}

/** Resolves when there is a connection, or none can be made: whoever needs it hears why. */
async function connectAhead({ client }: Session, options?: ConnectAhead): Promise<void> {
  await client.transport.connectAhead?.(options).catch(() => undefined)
}

/** Here and not by the node, with the user's own credentials and where the user sees how it goes. */
async function ensureImage(
  directory: DataDirectory,
  { image, pull }: Pick<RunCommandOptions, 'image' | 'pull'>,
  signal: AbortSignal,
): Promise<void> {
  if (image === HOST_IMAGE || pull === 'never') return
  const { openStore } = await import('./image.ts')
  const { asCliError, pullWithProgress } = await import('../images/pull-with-progress.ts')
  const store = await openStore(directory)
  try {
    if (pull === 'always' || !(await store.get(image))) await pullWithProgress(store, image, signal)
  } catch (error) {
    throw asCliError(error, image)
  }
}

const HOST_IMAGE = 'caisson.dev/host'

const PULL_POLICIES = { missing: 'IfNotPresent', always: 'Always', never: 'Never' } as const

interface RunningPod {
  /** Resolves with the first state for which `wanted` says something. Rejects when the Pod is deleted. */
  when<T>(wanted: (pod: PodObject) => T | undefined): Promise<T>
}

/** Attaches as soon as there is a Pod on a node, copies, and gives the container's exit code. */
async function runToEnd(
  session: Session,
  run: {
    name: string
    namespace: string
    terminal: { interactive: boolean; tty: boolean }
    pod: RunningPod
    signal: AbortSignal
  },
): Promise<number> {
  const { name, namespace, terminal, pod, signal } = run
  // The embedded node holds an attach back until the container runs, and gives its output from the beginning; any other
  // refuses one that comes too early.
  const early = session.embedded !== undefined
  const before = await Promise.race([
    pod.when((now) => (early ? attachable(now) : (started(now) ?? failure(now)))),
    refusal(session, { name, namespace, pod, signal }),
  ])
  if (before instanceof CliError) throw before
  // A container that never starts has nothing to attach to and no output to wait for.
  const failed = pod.when(failure).then((error) => Promise.reject(error))
  failed.catch(() => undefined)
  const attaching = attachToPod(session.client, name, {
    namespace,
    container: CONTAINER,
    stdin: true,
    tty: terminal.tty,
    signal,
  })
  attaching.catch(() => undefined)
  let received = false
  try {
    await using command = await Promise.race([attaching, failed])
    for (const output of [command.stdout, command.stderr]) output?.once('data', () => (received = true))
    await Promise.race([copyStreams(command, terminal), failed])
  } catch (error) {
    if (signal.aborted || received || !early || error instanceof CliError) throw error
    // We came so late that what the command ran in is gone: its output is in the log, and not half of it here.
    const exitCode = await endOf(pod)
    await copyLogs(session.client, name, { namespace, apart: !terminal.tty })
    return exitCode
  }
  return endOf(pod)
}

/** Its exit code; one that never began has one too, which is not its own. */
async function endOf(pod: RunningPod): Promise<number> {
  const end = await pod.when((now) => failure(now) ?? exitCodeOf(now))
  if (end instanceof CliError) throw end
  return end
}

async function copyLogs(
  client: Client,
  name: string,
  { namespace, apart }: { namespace: string; apart: boolean },
): Promise<void> {
  const log = (stream?: 'Stdout' | 'Stderr') =>
    client.logs(name, { namespace, container: CONTAINER, ...(stream && { stream }) })
  if (!apart) return await copyLog(log(), process.stdout)
  await Promise.all([copyLog(log('Stdout'), process.stdout), copyLog(log('Stderr'), process.stderr)])
}

/** Without a Pod after so long it is worth asking the Sandbox why. */
const POD_PATIENCE_MS = 1_000

/** Why no Pod is made for the sandbox, should that be so. Never settles where there is one soon. */
async function refusal(
  session: Session,
  { name, namespace, pod, signal }: { name: string; namespace: string; pod: RunningPod; signal: AbortSignal },
): Promise<CliError> {
  const there = new AbortController()
  void pod
    .when(() => true)
    .then(
      () => there.abort(),
      () => there.abort(),
    )
  const until = AbortSignal.any([signal, there.signal])
  try {
    await delay(POD_PATIENCE_MS, undefined, { signal: until })
    for await (const event of watchNamed(session.client, sandboxes, { namespace, name, signal: until })) {
      if (event.type !== 'ADDED' && event.type !== 'MODIFIED') continue
      const ready = event.object.status?.conditions?.find(({ type }) => type === 'Ready')
      if (ready?.reason === 'ReconcilerError')
        return new CliError('failed', `the sandbox cannot start: ${ready.message}`)
    }
  } catch (error) {
    if (!until.aborted) throw error
  }
  return new Promise(() => undefined)
}

function attachable(pod: PodObject): true | CliError | undefined {
  return pod.spec?.nodeName ? true : failure(pod)
}

function started(pod: PodObject): true | undefined {
  const state = pod.status?.containerStatuses?.[0]?.state
  return state?.running || state?.terminated ? true : undefined
}

function exitCodeOf(pod: PodObject): number | undefined {
  return pod.status?.containerStatuses?.[0]?.state?.terminated?.exitCode
}

/** Why the container will not start, where that is so. */
function failure(pod: PodObject): CliError | undefined {
  const state = pod.status?.containerStatuses?.[0]?.state
  const unschedulable = pod.status?.conditions?.find(
    (condition) => condition.type === 'PodScheduled' && condition.status === 'False',
  )
  if (unschedulable) return new CliError('unavailable', `no node takes the sandbox: ${unschedulable.message}`)
  if (state?.terminated?.reason === 'StartError' || state?.terminated?.reason === 'ContainerCannotRun') {
    return new CliError('not-found', `the command could not be started: ${state.terminated.message}`)
  }
  const reason = state?.waiting?.reason
  if (reason === undefined || ['ContainerCreating', 'PodInitializing'].includes(reason)) return undefined
  return new CliError('unavailable', `the sandbox cannot start: ${state?.waiting?.message || reason}`)
}

function followPod(events: AsyncIterable<ResourceEvent<PodObject>>): RunningPod {
  let last: PodObject | undefined
  let ended: unknown
  const listeners = new Set<() => void>()
  void (async () => {
    try {
      for await (const event of events) {
        if (event.type === 'ADDED' || event.type === 'MODIFIED') last = event.object
        if (event.type === 'DELETED') {
          last = event.object
          ended = new CliError('failed', 'the sandbox was deleted while it ran')
        }
        for (const listener of listeners) listener()
        if (ended) return
      }
      ended = new CliError('unavailable', 'the connection to the cluster ended')
    } catch (error) {
      ended = error
    }
    for (const listener of listeners) listener()
  })()
  return {
    when: (wanted) =>
      new Promise((resolve, reject) => {
        const look = (): boolean => {
          const found = last && wanted(last)
          if (found === undefined && ended === undefined) return false
          listeners.delete(look)
          if (found !== undefined) resolve(found)
          else reject(ended)
          return true
        }
        if (!look()) listeners.add(look)
      }),
  }
}

interface StopSignal {
  signal: AbortSignal
  abort(): void
  exitCode(): number
  race<T>(work: Promise<T>): Promise<T>
}

/** Aborts on a signal, with the shell's exit code for it, and after the time-out. */
function stopSignal(timeoutMs: number | undefined): StopSignal {
  const controller = new AbortController()
  let code: number = EXIT_CODES.failed
  const end = (exitCode: number): void => {
    code = exitCode
    controller.abort()
  }
  for (const [name, number] of [
    ['SIGINT', 2],
    ['SIGTERM', 15],
    ['SIGHUP', 1],
  ] as const)
    process.once(name, () => end(128 + number))
  if (timeoutMs !== undefined) setTimeout(() => end(EXIT_CODES['timed-out']), timeoutMs).unref()
  const aborted = new Promise<never>((_, reject) =>
    controller.signal.addEventListener('abort', () => reject(controller.signal.reason as Error)),
  )
  aborted.catch(() => undefined)
  return {
    signal: controller.signal,
    abort: () => controller.abort(),
    exitCode: () => code,
    race: (work) => Promise.race([work, aborted]),
  }
}

type PodSpec = Sandbox['spec']['podTemplate']['spec']

function podSpec(options: RunCommandOptions): PodSpec {
  const user = parseUser(options.user)
  const volumes = options.volume.map(parseVolume)
  return {
    restartPolicy: 'Never',
    automountServiceAccountToken: false,
    enableServiceLinks: false,
    terminationGracePeriodSeconds: 2,
    ...(options.runtimeClass !== undefined && { runtimeClassName: options.runtimeClass }),
    securityContext: { seccompProfile: { type: 'RuntimeDefault' } },
    containers: [
      {
        name: CONTAINER,
        image: options.image,
        imagePullPolicy: PULL_POLICIES[options.pull],
        ...(options.command.length > 0 && { command: options.command }),
        // For the one attach that comes: what the command writes before it is not lost.
        ...(!options.detach && { stdin: true, stdinOnce: true }),
        tty: options.tty ?? false,
        env: options.env.map(parseEnv),
        ...(options.workdir !== undefined && { workingDir: options.workdir }),
        resources: resourcesOf(options),
        ...(options.publish.length > 0 && { ports: options.publish.map(parsePublish) }),
        securityContext: {
          runAsUser: user.uid,
          runAsGroup: user.gid,
          runAsNonRoot: user.uid !== 0,
          allowPrivilegeEscalation: false,
          capabilities: { drop: ['ALL'] },
        },
        volumeMounts: volumes.map(({ mountPath, readOnly }, index) => ({
          name: `volume-${index}`,
          mountPath,
          readOnly,
        })),
      },
    ],
    volumes: volumes.map(({ path }, index) => ({ name: `volume-${index}`, hostPath: { path } })),
  }
}

/** Limits keep a sandbox from the machine. Nothing is set aside for it, so that as many fit as want to. */
function resourcesOf({
  cpu,
  memory,
  storage,
}: RunCommandOptions): NonNullable<PodSpec['containers'][number]['resources']> {
  const limits = {
    ...(cpu !== undefined && { cpu: quantity('--cpu', cpu, 'a number of processors such as 2 or 500m') }),
    ...(memory !== 'none' && { memory: quantity('--memory', memory, 'a size such as 512Mi or 4Gi, or none') }),
    ...(storage !== 'none' && { 'ephemeral-storage': quantity('--storage', storage, 'a size such as 20Gi, or none') }),
  }
  return { limits, requests: Object.fromEntries(Object.keys(limits).map((name) => [name, '0'])) }
}

/** The API server knows more of quantities; it would speak of fields that nobody wrote. */
function quantity(option: string, text: string, expected: string): string {
  if (/^(?:\d+\.?\d*|\.\d+)(?:m|[kMGTPE]|[KMGTPE]i)?$/.test(text) && Number.parseFloat(text) > 0) return text
  throw new CliError('usage', `${option} takes ${expected}, not ${JSON.stringify(text)}`)
}

function parseUser(text: string | undefined): { uid: number; gid: number } {
  if (text === undefined) return { uid: NOBODY, gid: NOBODY }
  const match = /^(\d+)(?::(\d+))?$/.exec(text)
  if (!match) throw new CliError('usage', `--user takes a number, or two as UID:GID, not ${JSON.stringify(text)}`)
  const uid = Number(match[1])
  return { uid, gid: match[2] === undefined ? uid : Number(match[2]) }
}

function parseEnv(text: string): { name: string; value: string } {
  const at = text.indexOf('=')
  if (at === 0)
    throw new CliError('usage', `-e takes NAME=VALUE, or NAME for this process's own, not ${JSON.stringify(text)}`)
  return at < 0
    ? { name: text, value: process.env[text] ?? '' }
    : { name: text.slice(0, at), value: text.slice(at + 1) }
}

function parsePublish(text: string): { containerPort: number; hostPort: number; hostIP: string; protocol: string } {
  const match = /^(?:(127\.\d+\.\d+\.\d+):)?(\d{1,5}):(\d{1,5})(?:\/(tcp|udp))?$/.exec(text)
  const [hostPort, containerPort] = [Number(match?.[2] ?? 0), Number(match?.[3] ?? 0)]
  if ([hostPort, containerPort].some((port) => port < 1 || port > 65_535))
    throw new CliError(
      'usage',
      `--publish takes HOST:PORT, ports of this machine's loopback and of the sandbox, such as 8080:80 or 5353:53/udp, not ${JSON.stringify(text)}`,
    )
  return { containerPort, hostPort, hostIP: match?.[1] ?? '127.0.0.1', protocol: (match?.[4] ?? 'tcp').toUpperCase() }
}

function parseVolume(text: string): { path: string; mountPath: string; readOnly: boolean } {
  const [path, mountPath, mode, ...more] = text.split(':')
  if (
    !path ||
    !mountPath?.startsWith('/') ||
    more.length > 0 ||
    (mode !== undefined && mode !== 'ro' && mode !== 'rw')
  ) {
    throw new CliError('usage', `-v takes HOST:PATH or HOST:PATH:ro with an absolute PATH, not ${JSON.stringify(text)}`)
  }
  return { path: resolve(path), mountPath, readOnly: mode === 'ro' }
}

async function createSandbox(
  { client }: Session,
  {
    name,
    namespace,
    spec,
    timeoutMs,
    annotations,
    network,
  }: {
    name: string
    namespace: string
    spec: PodSpec
    timeoutMs: number | undefined
    annotations: Record<string, string> | undefined
    network: RunCommandOptions['network']
  },
): Promise<void> {
  try {
    await client.create(
      sandboxes,
      {
        metadata: { name, namespace, ...(annotations && { annotations }) },
        spec: {
          podTemplate: { metadata: { annotations: { 'caisson.dev/network': network } }, spec },
          // Also when this process is killed, the sandbox ends.
          ...(timeoutMs !== undefined && {
            shutdownTime: new Date(Date.now() + timeoutMs + 1000).toISOString().replace(/\.\d+Z$/, 'Z'),
            shutdownPolicy: 'Delete' as const,
          }),
        },
      },
      { namespace },
    )
  } catch (error) {
    if (isAlreadyExists(error))
      throw new CliError('failed', `there is a sandbox ${name} already: 'caisson rm ${name}' removes it`, {
        cause: error,
      })
    throw error
  }
}

async function ensureHostNamespace({ client, embedded }: Session): Promise<void> {
  if (!embedded)
    throw new CliError(
      'usage',
      '-v and --publish use directories and ports of this machine, which another cluster lacks',
    )
  try {
    await client.create(resources.namespaces, {
      metadata: { name: HOST_NAMESPACE, labels: { 'pod-security.kubernetes.io/enforce': 'privileged' } },
    })
  } catch (error) {
    if (!isAlreadyExists(error)) throw error
  }
}
