/**
 * Admission of what only connects (exec, attach, port-forward, proxy): policies and validating webhooks see the options of
 * the connection as its object.
 */
import type { KubeObject } from '@caisson/api'
import type { Pipeline } from '../pipeline.ts'
import type { Call } from '../verbs/call.ts'

interface OptionsKind {
  kind: string
  flags?: readonly string[]
  texts?: readonly string[]
  lists?: readonly string[]
}

const STREAMS = ['stdin', 'stdout', 'stderr', 'tty']

/** By resource and subresource. A log is read, not connected to. */
const KINDS: Readonly<Record<string, OptionsKind>> = {
  'pods/exec': { kind: 'PodExecOptions', flags: STREAMS, texts: ['container'], lists: ['command'] },
  'pods/attach': { kind: 'PodAttachOptions', flags: STREAMS, texts: ['container'] },
  'pods/portforward': { kind: 'PodPortForwardOptions', lists: ['ports'] },
  'pods/proxy': { kind: 'PodProxyOptions' },
  'services/proxy': { kind: 'ServiceProxyOptions' },
  'nodes/proxy': { kind: 'NodeProxyOptions' },
}

/** Throws a StatusError where the connection is refused. The call is authorised already. */
export async function admitConnection(pipeline: Pipeline, call: Call, search: string): Promise<void> {
  const { info } = call
  const known = KINDS[`${info.resource}/${info.subresource}`]
  const resource = pipeline.environment.registry.find('', 'v1', info.resource)
  if (!known || !resource) return
  const environment = pipeline.environmentFor(resource)
  const shown = { ...resource, kind: known.kind }
  const object = optionsObject(known, new URLSearchParams(search), info.rest)
  // A write that writes nothing: admission that waits for others works for those.
  await environment.store.write(
    (transaction) =>
      environment.admit({
        operation: 'CONNECT',
        resource: shown,
        subresource: info.subresource,
        namespace: info.namespace,
        name: info.name,
        object,
        oldObject: undefined,
        user: call.user,
        dryRun: false,
        transaction,
        warn: (message) => call.warnings.push(message),
      }),
    call.share,
  )
}

function optionsObject(
  { kind, flags = [], texts = [], lists = [] }: OptionsKind,
  query: URLSearchParams,
  path: string,
): KubeObject {
  const options: Record<string, unknown> = { kind, apiVersion: 'v1' }
  for (const name of flags) if (isTrue(query.get(name))) options[name] = true
  for (const name of texts) if (query.get(name)) options[name] = query.get(name)
  for (const name of lists) {
    const values = query.getAll(name)
    if (values.length > 0) options[name] = name === 'ports' ? values.map(Number) : values
  }
  if (kind.endsWith('ProxyOptions') && path !== '') options['path'] = path.replace(/^\//, '')
  return options as unknown as KubeObject
}

/** As Go's query conversion reads a boolean. */
function isTrue(value: string | null): boolean {
  return value !== null && value !== 'false' && value !== '0'
}
