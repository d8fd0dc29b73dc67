import { connect, type Socket } from 'node:net'
import type { NameView } from './dns/records.ts'
import { servicePorts, type Target } from './services/service-model.ts'

export interface ConnectToPodOptions {
  names: NameView
  isPod(ip: string): boolean
  signal: AbortSignal | undefined
}

/** See `Network.connect`. */
export async function connectToPod(
  host: string,
  port: number,
  { names, isPod, signal }: ConnectToPodOptions,
): Promise<Socket> {
  signal?.throwIfAborted()
  const target = isPod(host) ? { ip: host, port } : serviceTarget(host, port, { names, isPod })
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

function serviceTarget(host: string, port: number, { names, isPod }: Omit<ConnectToPodOptions, 'signal'>): Target {
  const [name = '', namespace = '', kind] = host.split('.')
  const service = names.serviceAt(host) ?? (kind === 'svc' ? names.service(namespace, name)?.service : undefined)
  if (!service) throw new Error(`there is no Pod and no Service ${host}`)
  const { metadata } = service
  const found = names.service(metadata.namespace ?? '', metadata.name ?? '')
  const asked = servicePorts(service, found?.slices ?? []).find((each) => each.port === port && each.protocol === 'tcp')
  if (!asked) throw new Error(`the Service ${host} has no port ${port}`)
  const targets = asked.targets.filter(({ ip }) => isPod(ip))
  const target = targets[Math.floor(Math.random() * targets.length)]
  if (!target) throw new Error(`no endpoints available for service ${JSON.stringify(metadata.name)}`)
  return target
}
