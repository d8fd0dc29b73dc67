/** `caisson claim`: a Sandbox out of a pool, for one command. */
import { CLAIM_REASONS, findCondition, type SandboxClaim } from '@caisson/api'
import { isAlreadyExists, isNotFound, sandboxClaims } from '@caisson/client'
import { requireTerminal } from '../attached-terminal.ts'
import { attend } from '../attendance.ts'
import { CliError, type CliErrorCode } from '../cli-error.ts'
import { openSession, type Session } from '../cluster/session.ts'
import { parseTimeout, shutdownAfter } from '../duration.ts'
import { execCommand } from '../exec-command.ts'
import type { GlobalOptions } from '../global-options.ts'
import { missingNamespace } from '../missing-namespace.ts'
import { newName } from '../new-name.ts'
import { parseEnv } from '../run/pod-spec.ts'
import { exitStopped, stopSignal } from '../run/stop-signal.ts'
import { awakePodOf } from '../sandbox-pod.ts'
import { makeTemporary, takeAway } from '../take-away.ts'
import { say } from '../terminal-text.ts'
import { whenObject } from '../when-object.ts'

export interface ClaimOptions extends GlobalOptions {
  pool: string
  command: string[]
  name?: string
  keep?: boolean
  interactive?: boolean
  tty?: boolean
  env: string[]
  container?: string
  timeout?: string
}

/** Unless something else is asked for, a claim that finds no sandbox ends by itself. */
const DEADLINE_SECONDS = 300

/** Claims a Sandbox, executes the command in it and gives it back; ends with the command's exit code. */
export async function claim(options: ClaimOptions): Promise<void> {
  const terminal = { interactive: options.interactive ?? false, tty: options.tty ?? false }
  requireTerminal(terminal)
  const timeoutMs = options.timeout === undefined ? undefined : parseTimeout('--timeout', options.timeout)
  const { command } = options
  if (command.length === 0 && !options.keep)
    throw new CliError('usage', 'no command given: put one behind --, or keep the sandbox with --keep')
  const env = options.env.flatMap(parseEnv)
  const name = newName(options.name, 'claim')
  const stop = stopSignal(timeoutMs)
  await using session = await openSession(options)
  const { client, namespace } = session
  // Whatever ends this process, its sandbox is given back.
  await using attendance = !options.keep && session.embedded ? await attend(session.embedded) : undefined
  const removal = `kubectl delete sandboxclaim ${name} -n ${namespace}`
  const isAttended = attendance !== undefined
  const isNameNew = options.name === undefined
  const temporary = { resource: sandboxClaims, namespace, name, isAttended, isNameNew, removal }
  const object = {
    metadata: { name, namespace, ...(attendance && { annotations: attendance.annotations }) },
    spec: {
      warmPoolRef: { name: options.pool },
      readyDeadlineSeconds: DEADLINE_SECONDS,
      ...(env.length > 0 && { env }),
      ...(timeoutMs !== undefined && !options.keep && { lifecycle: endingAfter(timeoutMs) }),
    },
  }
  await makeTemporary(client, temporary, () => createClaim(session, object))
  let kept = false
  try {
    const sandbox = await stop.race(whenClaimed(session, { name, pool: options.pool, signal: stop.signal }))
    if (options.keep) {
      kept = true
      say(`sandbox ${sandbox}, kept until '${removal}'`)
    }
    if (command.length === 0) {
      console.log(sandbox)
      return
    }
    const { container } = options
    const pod = await awakePodOf(session, sandbox, options.container)
    const given = { namespace, command, ...terminal, ...(container !== undefined && { container }) }
    process.exitCode = await stop.race(execCommand(client, pod, given))
  } catch (error) {
    if (!stop.signal.aborted) throw error
    exitStopped(stop, `the command did not end within ${options.timeout} and was stopped`)
  } finally {
    stop.abort()
    if (!kept) await takeAway(client, temporary)
  }
}

/** Also where this process is killed, or the cluster is another machine's. */
function endingAfter(timeoutMs: number): NonNullable<SandboxClaim['spec']['lifecycle']> {
  return { shutdownTime: shutdownAfter(timeoutMs), shutdownPolicy: 'Delete' }
}

async function createClaim(
  { client, namespace }: Session,
  object: Pick<SandboxClaim, 'metadata' | 'spec'>,
): Promise<void> {
  const { name } = object.metadata
  try {
    await client.create(sandboxClaims, object, { namespace })
  } catch (error) {
    if (isAlreadyExists(error)) throw new CliError('failed', `there is a claim ${name} already: choose another name`)
    if (!isNotFound(error)) throw error
    throw (
      missingNamespace(error, namespace) ??
      new CliError(
        'not-found',
        'this cluster has no SandboxClaims: install the CustomResourceDefinitions of deploy/crds',
        {
          cause: error,
        },
      )
    )
  }
}

/** Reasons that no waiting changes. */
const FINAL: Readonly<Record<string, CliErrorCode>> = {
  [CLAIM_REASONS.templateNotFound]: 'not-found',
  [CLAIM_REASONS.warmPoolNotFound]: 'not-found',
  [CLAIM_REASONS.invalidMetadata]: 'usage',
  [CLAIM_REASONS.envVarsInjectionRejected]: 'usage',
  [CLAIM_REASONS.volumeClaimTemplatesError]: 'usage',
  [CLAIM_REASONS.invalidConfiguration]: 'usage',
  [CLAIM_REASONS.nameCollision]: 'usage',
  [CLAIM_REASONS.deadlineExceeded]: 'timed-out',
  [CLAIM_REASONS.expired]: 'failed',
  [CLAIM_REASONS.sandboxExpired]: 'failed',
  PodFailed: 'failed',
  PodSucceeded: 'failed',
}

/** The name of the Sandbox, once it is Ready. */
function whenClaimed(
  { client, namespace }: Session,
  { name, pool, signal }: { name: string; pool: string; signal: AbortSignal },
): Promise<string> {
  return whenObject(client, sandboxClaims, {
    namespace,
    name,
    signal,
    wanted({ status }) {
      const ready = findCondition(status?.conditions, 'Ready')
      if (ready?.status === 'True') return status?.sandbox?.name
      const code = FINAL[ready?.reason ?? '']
      if (!code) return undefined
      const help =
        ready?.reason === CLAIM_REASONS.warmPoolNotFound ? ": 'caisson pool ls' lists those that there are" : ''
      throw new CliError(code, `pool ${pool} gives no sandbox: ${ready?.message}${help}`)
    },
  })
}
