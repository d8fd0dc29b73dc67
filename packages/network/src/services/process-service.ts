/**
 * A Service whose Pod is a process of this machine. Sandboxes reach it through a door on the gateway address, as far as the
 * policies of both sides allow it: the kernel sees one address for all that listens there, so that the door decides.
 */
import type { Socket } from 'node:net'
import type { AnyObject } from '@caisson/client'
import { labelsOfNamespace } from '../pod-addresses.ts'
import { allows } from '../policy/allows.ts'
import type { Policy, PolicyPod } from '../policy/policy-model.ts'
import { rememberByPod } from '../policy/remember-by-pod.ts'
import { type DoorLimits, type GatewayDoor, openGatewayDoor } from './doors.ts'
import { SERVICE_LABEL, type ServiceObject, type SliceObject, servicePorts } from './service-model.ts'

export interface ProcessService {
  namespace: string
  /** The Service's name. */
  name: string
  /** Of its Pod, for the policies that select it. */
  labels: Readonly<Record<string, string>>
  /** Where its Pod listens. */
  port: number
  /** To the process, for the Pod with that address. */
  connect(ip: string): Promise<Socket>
}

export interface ProcessDoorOptions {
  host: string
  process: ProcessService
  /** Undefined until it is seen. */
  namespaceObject(): AnyObject | undefined
  podAt(ip: string): PolicyPod | undefined
  /** Of a namespace. */
  policies(namespace: string): readonly Policy[]
}

/** One client may speak to many sandboxes at once, each over a connection of its own, and must leave room for others. */
const LIMITS: DoorLimits = { all: 2_048, each: 64, perSecond: 200, burst: 500 }

export function openProcessDoor(options: ProcessDoorOptions): Promise<GatewayDoor> {
  const { host, process, namespaceObject, podAt, policies } = options
  const { namespace, labels, port } = process
  const remembered = rememberByPod<boolean>()
  return openGatewayDoor({
    host,
    limits: LIMITS,
    connect: (ip) => process.connect(ip),
    namespaceOf: (ip) => podAt(ip)?.namespace ?? '',
    may(ip) {
      const from = podAt(ip)
      // Programs of the machine have other ways, and are no Pods.
      if (!from) return false
      const [theirs, ours, object] = [policies(from.namespace), policies(namespace), namespaceObject()]
      return remembered(from, [theirs, ours, object], () => {
        const namespaceLabels = labelsOfNamespace(namespace, object)
        const own = { namespace, labels, namespaceLabels, ports: [], isolated: false }
        const to: PolicyPod = { uid: `${namespace}/${process.name}`, ip: host, ...own }
        return allows({ from, to, protocol: 'tcp', port }, theirs === ours ? ours : [...theirs, ...ours])
      })
    },
  })
}

/** What leads to the door, where the Service leads nowhere else: somebody may run a Pod of his own behind it. */
export function processSlices(
  service: ServiceObject | undefined,
  slices: readonly SliceObject[],
  door: { ip: string; port: number } | undefined,
): readonly SliceObject[] {
  if (!service || !door || servicePorts(service, slices).some(({ targets }) => targets.length > 0)) return slices
  const { namespace = '', name = '' } = service.metadata
  return [
    {
      apiVersion: 'discovery.k8s.io/v1',
      kind: 'EndpointSlice',
      metadata: { namespace, name, labels: { [SERVICE_LABEL]: name } },
      addressType: 'IPv4',
      endpoints: [{ addresses: [door.ip] }],
      ports: (service.spec?.ports ?? [])
        .filter(({ protocol = 'TCP' }) => protocol === 'TCP')
        .map(({ name: portName = '' }) => ({ name: portName, protocol: 'TCP', port: door.port })),
    },
  ]
}
