import { connect, type Socket } from 'node:net'
import type { NameView } from './dns/records.ts'
import { servicePorts, type Target } from './services/service-model.ts'

export interface ConnectToPodOptions {
  names: NameView
  signal: AbortSignal | undefined
}

/** See `Network.connect`. */
export async function connectToPod(
  host: string,
  port: number,
  { names, signal }: ConnectToPodOptions,
): Promise<Socket> {
  signal?.throwIfAborted()
  const target = names.podNamespaceAt(host) === undefined ? serviceTarget(host, port, names) : { ip: host, port }
  const socket = connect({ host: target.ip, port: target.port, allowHalfOpen: true, noDelay: true })
  const { promise, resolve, reject } = Promise.withResolvers<Socket>()
  const abort = (): void => void socket.destroy(signal?.reason as Error)
  signal?.addEventListener('abort', abort, { once: true })
  socket.once('error', reject).once('connect', () => resolve(socket))
  try {
    return await promise
  } finally {
    signal?.removeEventListener('abort', abort)
    socket.off('error', reject)
  }
}

function serviceTarget(host: string, port: number, names: NameView): Target {
  const [name = '', namespace = '', kind] = host.split('.')
  const service = names.serviceAt(host) ?? (kind === 'svc' ? names.service(namespace, name)?.service : undefined)
  if (!service) throw new Error(`there is no Pod and no Service ${host}`)
  const { metadata } = service
  const own = metadata.namespace ?? ''
  const found = names.service(own, metadata.name ?? '')
  const asked = servicePorts(service, found?.slices ?? []).find((each) => each.port === port && each.protocol === 'tcp')
  if (!asked) throw new Error(`the Service ${host} has no port ${port}`)
  const targets = asked.targets.filter(({ ip }) => names.podNamespaceAt(ip) === own)
  const target = targets[Math.floor(Math.random() * targets.length)]
  if (!target) throw new Error(`no endpoints available for service ${JSON.stringify(metadata.name)}`)
  return target
}
