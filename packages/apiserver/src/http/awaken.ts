/**
 * Requests for a Pod that is not there because it sleeps: they are held until it has been woken. This server knows nothing
 * of what sleeps; whoever composes it does.
 */
import { forbidden } from '../authz/attributes.ts'
import { attributesOf, authorizeCall, type Pipeline } from '../pipeline.ts'
import { StatusError } from '../status-error.ts'
import type { Call } from '../verbs/call.ts'
import { connectionVerbs } from './node-paths.ts'
import { parseProxyName } from './proxied-pod.ts'

/**
 * Undefined where the Pod does not sleep. Otherwise resolves once it can be connected to; rejects with why it cannot be,
 * or with the signal's reason.
 */
export type Awaken = (pod: { namespace: string; name: string }, signal: AbortSignal) => Promise<void> | undefined

/**
 * kubectl asks for a Pod before it connects to it, and gives up where there is none. It says on whose behalf it asks in
 * this header, of every request since 1.22.
 */
export const KUBECTL_COMMAND = 'kubectl-command'

const SUBRESOURCES: Readonly<Record<string, string>> = {
  'kubectl exec': 'exec',
  'kubectl cp': 'exec',
  'kubectl attach': 'attach',
  'kubectl port-forward': 'portforward',
}

/**
 * The connection that the call is, or is about to become: `exec`, `attach`, `portforward` or `proxy`; undefined for all else. Logs
 * are read without waking anybody.
 */
export function connectionTo({ info }: Call, kubectlCommand: string | string[] | undefined): string | undefined {
  if (!info.isResource || info.group !== '' || info.resource !== 'pods' || info.name === '') return undefined
  if (info.subresource !== '') return info.subresource === 'log' ? undefined : info.subresource
  const command = typeof kubectlCommand === 'string' ? kubectlCommand : ''
  return info.verb === 'get' && Object.hasOwn(SUBRESOURCES, command) ? SUBRESOURCES[command] : undefined
}

/** Wakes the Pod that the call is for, for those who may connect to it. Throws a StatusError. */
export async function awakenFor(
  { pipeline, awaken }: { pipeline: Pipeline; awaken: Awaken | undefined },
  call: Call,
  { subresource, signal }: { subresource: string; signal: () => AbortSignal },
): Promise<void> {
  if (!awaken) return
  authorizeCall(pipeline, call)
  if (call.info.subresource === '') authorizeConnection(pipeline, call, subresource)
  else if (!connectionVerbs(call)?.includes(call.info.verb)) return
  const { namespace } = call.info
  const name = subresource === 'proxy' ? parseProxyName(call.info).name : call.info.name
  const awake = awaken({ namespace, name }, signal())
  if (!awake) return
  try {
    await awake
  } catch (error) {
    const message = `pod ${JSON.stringify(name)} was suspended because nothing happened in it, and could not be woken: ${(error as Error).message}`
    throw new StatusError('ServiceUnavailable', message, { cause: error })
  }
}

/** Who may only look at a Pod wakes nothing by saying that he means more. */
function authorizeConnection({ authorize }: Pipeline, call: Call, subresource: string): void {
  const attributes = attributesOf({ ...call.info, verb: 'create', subresource }, call.user)
  const { allowed, reason } = authorize(attributes)
  if (!allowed) throw forbidden(attributes, reason)
}

/** Aborted when the stream closes; made only where somebody waits. */
export function whileOpen(stream: {
  once(event: 'close', listener: () => void): unknown
  destroyed: boolean
}): AbortSignal {
  const gone = new AbortController()
  const reason = new Error('the client is gone')
  if (stream.destroyed) gone.abort(reason)
  else stream.once('close', () => gone.abort(reason))
  return gone.signal
}
