/** What sandboxes reach at their gateway: names, the API server, and a process of this machine. */
import { type Informers, resources } from '@caisson/client'
import type { NetworkControl, NetworkPlace, RulePiece } from '@caisson/runtime'
import { startDnsServer } from './dns/dns-server.ts'
import { type MayAsk, mayAsk } from './dns/may-ask.ts'
import type { NameView } from './dns/records.ts'
import { resolve } from './dns/resolve.ts'
import { createUpstream } from './dns/upstream.ts'
import type { PolicyRules } from './policy/policy-rules.ts'
import { rememberByPod } from './policy/remember-by-pod.ts'
import { type ApiServerAddress, doorsPiece, type GatewayDoor, openApiDoor } from './services/doors.ts'
import { openProcessDoor, type ProcessService } from './services/process-service.ts'

/** The Service that leads to the API server. */
export const API_SERVICE = 'default/kubernetes'
const DNS_PORT = 53

export interface GatewayDoorsOptions {
  control: NetworkControl
  informers: Informers
  apiServer: ApiServerAddress
  process: ProcessService | undefined
  dns: { address: string }
  serviceRange: string
  rules: Pick<PolicyRules, 'podAt' | 'policies'>
  names: NameView
  /** The door of `process` listens. */
  onProcessDoor(): void
  onError(error: unknown, where: string): void
}

export interface GatewayDoors extends AsyncDisposable {
  /** Opens the network and the doors, once. Rejects with code `network-missing` where this machine can have none. */
  open(): Promise<void>
  /** Undefined until they are open, as the others. */
  place(): NetworkPlace | undefined
  process(): GatewayDoor | undefined
  /** The rules that lead to them. */
  piece(): RulePiece | undefined
}

export function createGatewayDoors(options: GatewayDoorsOptions): GatewayDoors {
  const { control, rules, dns, serviceRange, onError } = options
  const namespaces = options.informers.of(resources.namespaces)
  const services = options.informers.of(resources.services)
  const listening = new AsyncDisposableStack()
  const remembered = rememberByPod<MayAsk>()
  let closed = false
  let opening: Promise<void> | undefined
  let place: NetworkPlace | undefined
  let ports: { udpPort: number; tcpPort: number; apiPort: number } | undefined
  let processDoor: GatewayDoor | undefined

  function namespaceOf(ip: string): string {
    return rules.podAt(ip)?.namespace ?? ''
  }

  function mayAskFrom(ip: string): MayAsk {
    const pod = rules.podAt(ip)
    if (!pod) return 'cluster'
    const policies = rules.policies(pod.namespace)
    return remembered(pod, [policies], () => mayAsk(pod, { policies, address: dns.address }))
  }

  async function open(): Promise<void> {
    if (closed) throw new Error('the network was stopped')
    const opened = await control.open()
    const host = opened.gateway
    // What listens is of no use without the rest, and the next attempt has its own.
    await using attempt = new AsyncDisposableStack()
    const upstream = createUpstream(namespaceOf)
    const server = attempt.use(
      await startDnsServer({
        host,
        port: DNS_PORT,
        onError,
        namespaceOf,
        resolve: (query, { ip, tcp, signal }) =>
          resolve(query, { view: options.names, upstream, mayAsk: mayAskFrom(ip), ip, tcp, signal }),
      }),
    )
    const door = attempt.use(await openApiDoor({ host, api: options.apiServer, namespaceOf }))
    const own = options.process && attempt.use(await openForProcess(options.process, host))
    listening.use(attempt.move())
    place = opened
    ports = { udpPort: server.udpPort, tcpPort: server.tcpPort, apiPort: door.port }
    processDoor = own
    if (own) options.onProcessDoor()
  }

  function openForProcess(process: ProcessService, host: string): Promise<GatewayDoor> {
    return openProcessDoor({
      host,
      process,
      namespaceObject: () => namespaces.get(process.namespace),
      podAt: rules.podAt,
      policies: rules.policies,
    })
  }

  return {
    open() {
      opening ??= open().catch((error: unknown) => {
        opening = undefined
        throw error
      })
      return opening
    },
    place: () => place,
    process: () => processDoor,
    piece() {
      if (!place || !ports) return undefined
      const { udpPort, tcpPort, apiPort } = ports
      const api = services.get(API_SERVICE)?.spec
      const ip = api?.clusterIP ?? ''
      const served = ip === '' || ip === 'None' ? [] : (api?.ports ?? []).map(({ port }) => ({ ip, port }))
      return doorsPiece({
        gateway: place.gateway,
        serviceRange,
        dns: { address: dns.address, udpPort, tcpPort },
        api: { addresses: served, port: apiPort },
        others: processDoor ? [processDoor.port] : [],
      })
    },
    async [Symbol.asyncDispose]() {
      closed = true
      // What is being opened would else listen for ever.
      await opening?.catch(() => {})
      await listening.disposeAsync()
    },
  }
}
