import { NETWORK_ANNOTATION, type Sandbox } from '@caisson/api'
import { type ConnectAhead, isAlreadyExists, resources } from '@caisson/client'
import { requireTerminal, type TerminalOptions } from '../attached-terminal.ts'
import { attend, removedWhenEnded } from '../attendance.ts'
import { CliError } from '../cli-error.ts'
import type { DataDirectory } from '../cluster/data-directory.ts'
import { ensureHostNamespace, HOST_NAMESPACE } from '../cluster/host-namespace.ts'
import { requireGvisor } from '../cluster/require-gvisor.ts'
import { openSession, type Session } from '../cluster/session.ts'
import { parseDuration, parseTimeout, shutdownAfter } from '../duration.ts'
import { HOST_IMAGE } from '../host-image.ts'
import { missingNamespace } from '../missing-namespace.ts'
import { newName } from '../new-name.ts'
import { noteTime } from '../note-time.ts'
import { followPod } from '../run/follow-pod.ts'
import { type PodSpec, podSpec } from '../run/pod-spec.ts'
import type { RunCommandOptions } from '../run/run-options.ts'
import { runToEnd } from '../run/run-to-end.ts'
import { exitStopped, type StopSignal, stopSignal } from '../run/stop-signal.ts'
import { yieldProcessor } from '../run/yield-processor.ts'
import { sandboxes } from '../sandboxes.ts'
import { sayWaiting } from '../say-waiting.ts'
import { makeTemporary, type Temporary, takeAway, temporarySandbox } from '../take-away.ts'
import { say } from '../terminal-text.ts'
import { watchNamed } from '../watch-named.ts'

/** Of embedded clusters, and what is meant where none is named. */
const GVISOR = 'gvisor'

/** The class of embedded clusters that `caisson up --fake-runtime` makes. */
const PRETENDING = 'fake'

/** Runs a command as a sandbox's own process and ends with its exit code. */
export async function run(options: RunCommandOptions): Promise<void> {
  requireTerminal(terminalOf(options))
  if (options.pool !== undefined) {
    requireOnlyOf(WITH_POOL, options.given)
    return (await import('./claim.ts')).claim({ ...options, pool: options.pool })
  }
  if (options.snapshot !== undefined) {
    requireOnlyOf(WITH_SNAPSHOT, options.given)
    return (await import('../run/run-snapshot.ts')).runSnapshot({ ...options, snapshot: options.snapshot })
  }
  await runFresh(options, wantedSandbox(options))
}

function terminalOf({ interactive = false, tty = false }: RunCommandOptions): TerminalOptions {
  return { interactive, tty }
}

interface WantedSandbox {
  name: string
  spec: PodSpec
  timeoutMs: number | undefined
  idleMs: number | undefined
}

/** What the options say of it. @throws CliError where they contradict each other or cannot be read */
function wantedSandbox(options: RunCommandOptions): WantedSandbox {
  if (options.rm && options.keep) throw new CliError('usage', '--rm and --keep contradict each other: choose one')
  const timeoutMs = options.timeout === undefined ? undefined : parseTimeout('--timeout', options.timeout)
  const idleMs = idleTimeout(options)
  if (options.publish.length > 0 && options.network === 'none')
    throw new CliError('usage', '--publish and --network none contradict each other: choose one')
  return { name: newName(options.name, 'run'), spec: podSpec(options), timeoutMs, idleMs }
}

async function runFresh(options: RunCommandOptions, wanted: WantedSandbox): Promise<void> {
  if (options.command.length === 0) {
    const waits = options.image === HOST_IMAGE && !options.detach ? ', which does nothing until it is interrupted' : ''
    say(`no command given: running the one of ${options.image}${waits}`)
  }
  const stop = stopSignal(wanted.timeoutMs)
  await using session = await openSession({
    ...options,
    start: true,
    ...([undefined, GVISOR].includes(options.runtimeClass) && { beforeStart: requireGvisor }),
  })
  if (session.embedded && options.runtimeClass === PRETENDING && !options.detach)
    throw new CliError(
      'usage',
      `--runtime-class ${PRETENDING} runs nothing: its Pods only say that they run, and never end. Leave it out, or use --detach`,
    )
  // The handshake goes on while the rest is made ready.
  const connected = connectAhead(session, { use: true })
  const namespace = await namespaceOf(session, options)
  let { spec } = wanted
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
  const elsewhere = session.embedded
    ? undefined
    : await (await import('../run/elsewhere.ts')).prepareElsewhere(session, { ...options, namespace })
  if (elsewhere) spec = { ...spec, runtimeClassName: elsewhere.runtimeClassName }

  const remove = options.rm || (!options.keep && !options.detach)
  if (remove && options.detach && !session.embedded)
    throw new CliError(
      'usage',
      '--rm with --detach is for the embedded cluster, which removes it: on another, --timeout bounds a sandbox',
    )
  // Whatever ends this process, its sandbox ends too.
  await using attendance = remove && !options.detach && session.embedded ? await attend(session.embedded) : undefined
  await connected
  const sandbox: NewSandbox = {
    ...wanted,
    namespace,
    spec,
    annotations: remove && options.detach ? removedWhenEnded : attendance?.annotations,
    isAttended: attendance !== undefined,
    network: options.network,
    labels: elsewhere?.labels,
  }
  noteTime('create request')
  if (!options.detach) return await runAttached(session, { options, sandbox, stop, remove })
  await makeTemporary(session.client, temporary(sandbox, options), () => createSandbox(session, sandbox))
  console.log(wanted.name)
  if (touchesHost(options))
    say(`${wanted.name} uses this machine’s directories or ports: it is in namespace ${namespace}`)
}

function temporary({ name, namespace, isAttended }: NewSandbox, options: RunCommandOptions): Temporary<Sandbox> {
  return temporarySandbox({ name, namespace, isAttended, isNameNew: options.name === undefined })
}

interface AttachedRun {
  options: RunCommandOptions
  sandbox: NewSandbox
  stop: StopSignal
  remove: boolean
}

/** Makes the sandbox, is its command's terminal or pipes until that has ended, and ends with its exit code. */
async function runAttached(session: Session, { options, sandbox, stop, remove }: AttachedRun): Promise<void> {
  const { name, namespace } = sandbox
  const terminal = terminalOf(options)
  const sent = Promise.withResolvers<void>()
  const made = temporary(sandbox, options)
  const creation = makeTemporary(session.client, made, () => createSandbox(session, sandbox, sent.resolve))
  // What else there is to send would keep it from going out.
  await Promise.race([sent.promise, creation])
  using yielded = yieldProcessor()
  // The terminal is the command's own: nothing of ours is to be in what it shows.
  using waiting = terminal.tty ? undefined : sayWaiting(`sandbox ${name}`)
  // It begins with how the Pod is by then: nothing is missed, whichever of the two requests is served first.
  const pod = followPod(watchNamed(session.client, resources.pods, { namespace, name, signal: stop.signal }))
  // While the sandbox is made, and before it starts: then it needs the processors itself.
  if (session.embedded) void connectAhead(session, { webSocket: true })
  await creation
  try {
    process.exitCode = await stop.race(
      runToEnd(session, {
        name,
        namespace,
        terminal,
        pod,
        signal: stop.signal,
        onStarted() {
          yielded[Symbol.dispose]()
          waiting?.[Symbol.dispose]()
        },
      }),
    )
  } catch (error) {
    if (!stop.signal.aborted) throw error
    exitStopped(stop, `${name} did not end within ${options.timeout} and was stopped`)
  } finally {
    stop.abort()
    if (remove) await takeAway(session.client, made)
  }
}

/** Who is attached keeps a sandbox awake, so that it needs `--detach`. */
function idleTimeout({ idleTimeout: text, detach }: RunCommandOptions): number | undefined {
  if (text === undefined) return undefined
  const idleMs = parseDuration('--idle-timeout', text)
  if (idleMs < 1000) throw new CliError('usage', `--idle-timeout takes a second or more, not ${JSON.stringify(text)}`)
  if (!detach)
    throw new CliError('usage', '--idle-timeout needs --detach: a sandbox that somebody is attached to is not idle')
  return idleMs
}

/** What can be said of a sandbox that is not made as the other options say. */
const OF_ANY = ['--name', '--rm', '--keep', '--interactive', '--tty', '--timeout']
const WITH_POOL = { option: '--pool', others: [...OF_ANY, '--env'], are: 'those of a pool are as its template says' }
const WITH_SNAPSHOT = {
  option: '--snapshot',
  others: [...OF_ANY, '--detach'],
  are: 'one that begins with a snapshot goes on as what was kept',
}

function requireOnlyOf({ option, others, are }: typeof WITH_POOL, given: readonly string[] = []): void {
  const other = given.find((each) => each !== option && !others.includes(each))
  if (other !== undefined)
    throw new CliError('usage', `${other} says what a new sandbox is like, and ${are}: leave out ${other} or ${option}`)
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
    throw asCliError(error, { subject: image })
  }
}

interface NewSandbox extends WantedSandbox {
  namespace: string
  annotations: Record<string, string> | undefined
  isAttended: boolean
  network: RunCommandOptions['network']
  labels: Record<string, string> | undefined
}

/** @param onSent called when the request is on its way */
async function createSandbox({ client }: Session, sandbox: NewSandbox, onSent?: () => void): Promise<void> {
  const { name, namespace, spec, timeoutMs, idleMs, annotations, network, labels } = sandbox
  try {
    await client.create(
      sandboxes,
      {
        metadata: { name, namespace, ...(annotations && { annotations }) },
        spec: {
          podTemplate: {
            metadata: { annotations: { [NETWORK_ANNOTATION]: network }, ...(labels && { labels }) },
            spec,
          },
          // Also when this process is killed, the sandbox ends.
          ...(timeoutMs !== undefined && {
            shutdownTime: shutdownAfter(timeoutMs),
            shutdownPolicy: 'Delete' as const,
          }),
          ...(idleMs !== undefined && {
            idleSuspension: { afterSeconds: Math.ceil(idleMs / 1000) },
            suspension: { memory: 'Keep' as const },
          }),
        },
      },
      { namespace, ...(onSent && { onSent }) },
    )
  } catch (error) {
    const missing = missingNamespace(error, namespace)
    if (missing) throw missing
    if (isAlreadyExists(error))
      throw new CliError('failed', `there is a sandbox ${name} already: 'caisson rm ${name}' removes it`, {
        cause: error,
      })
    throw error
  }
}

function touchesHost({ volume, publish }: RunCommandOptions): boolean {
  return volume.length > 0 || publish.length > 0
}

/** Where the sandbox is made: what uses directories or ports of this machine has a namespace of its own. */
async function namespaceOf(session: Session, options: RunCommandOptions): Promise<string> {
  if (!touchesHost(options)) return session.namespace
  requireHostNamespace(session, options)
  await ensureHostNamespace(session.client)
  return HOST_NAMESPACE
}

function requireHostNamespace({ embedded }: Session, { namespace }: RunCommandOptions): void {
  if (!embedded)
    throw new CliError(
      'usage',
      '-v and --publish use directories and ports of this machine, which another cluster lacks',
    )
  if (namespace !== undefined && namespace !== HOST_NAMESPACE)
    throw new CliError(
      'usage',
      `-v and --publish need the namespace ${HOST_NAMESPACE}, where directories and ports of this machine may be used: leave out -n ${namespace}`,
    )
}
