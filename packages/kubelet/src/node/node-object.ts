/** The Node object that this machine is to the cluster. */
import { kubernetesTime } from '@caisson/api'
import type { Draft, Typed } from '@caisson/client'
import type { Node, NodeCondition, NodeStatus, Taint } from 'kubernetes-types/core/v1.d.ts'
import type { Pressure } from '../eviction/node-pressure.ts'
import type { Machine } from './machine.ts'

export interface NodeFacts {
  name: string
  machine: Machine
  /** Runtime handlers that work here, with their versions. */
  handlers: ReadonlyMap<string, string>
  /** Pods that the node takes. */
  pods: number
  /** What the node is called by: its version. */
  version: string
  /** What the node is short of. */
  pressures: ReadonlySet<Pressure>
  /** Of the node's API, where it is served over HTTPS. */
  apiPort?: number | undefined
  /** What whoever set the node up wants of it. */
  own?: OwnNodeFields | undefined
}

export interface OwnNodeFields {
  labels: Readonly<Record<string, string>>
  annotations: Readonly<Record<string, string>>
  /** Given when the Node is made; from then on they are the cluster's. */
  taints: readonly Taint[]
}

/** Labels that the node keeps as they should be; others are left alone. */
export function nodeLabels({ name, machine, handlers, own }: NodeFacts): Record<string, string> {
  return {
    'kubernetes.io/hostname': name,
    'kubernetes.io/os': 'linux',
    'kubernetes.io/arch': machine.architecture,
    'beta.kubernetes.io/os': 'linux',
    'beta.kubernetes.io/arch': machine.architecture,
    ...(handlers.has('runsc') && { 'gvisor.enabled': 'true' }),
    ...own?.labels,
  }
}

export function nodeResources({ machine, pods }: Pick<NodeFacts, 'machine' | 'pods'>): Record<string, string> {
  return {
    cpu: String(machine.cpus),
    memory: `${Math.floor(machine.memoryBytes / 1024)}Ki`,
    'ephemeral-storage': `${Math.floor(machine.storageBytes / 1024)}Ki`,
    pods: String(pods),
  }
}

/**
 * @param current the status that the API has, whose transition times are kept
 * @param now ms since the epoch
 */
export function nodeStatus(facts: NodeFacts, current: NodeStatus | undefined, now: number): NodeStatus {
  const { name, machine, handlers, version } = facts
  const capacity = nodeResources(facts)
  return {
    capacity,
    allocatable: capacity,
    conditions: nodeConditions(facts, current?.conditions ?? [], now),
    addresses: [
      { type: 'InternalIP', address: machine.address },
      { type: 'Hostname', address: name },
    ],
    ...(facts.apiPort !== undefined && { daemonEndpoints: { kubeletEndpoint: { Port: facts.apiPort } } }),
    nodeInfo: {
      architecture: machine.architecture,
      bootID: machine.bootId,
      containerRuntimeVersion: runtimeVersion(handlers),
      kernelVersion: machine.kernel,
      kubeProxyVersion: '',
      kubeletVersion: version,
      machineID: machine.machineId,
      operatingSystem: 'linux',
      osImage: machine.osImage,
      systemUUID: machine.machineId,
    },
    runtimeHandlers: [...handlers.keys()].map((handler) => ({
      name: handler,
      features: { recursiveReadOnlyMounts: false, userNamespaces: false },
    })),
  } as NodeStatus
}

function runtimeVersion(handlers: ReadonlyMap<string, string>): string {
  const [first] = handlers
  return first ? `${first[0]}://${first[1]}` : 'none://'
}

/** Reason and message. */
type Words = readonly [string, string]

function nodeConditions({ pressures }: NodeFacts, current: readonly NodeCondition[], now: number): NodeCondition[] {
  const time = kubernetesTime(now)
  // Also where no runtime was found: Pods then say what is missing and how to get it, which a node that takes none cannot.
  const ready = {
    type: 'Ready',
    status: 'True',
    reason: 'KubeletReady',
    message: 'kubelet is posting ready status',
  }
  const pressure = (type: Pressure, [met, metMessage]: Words, [unmet, unmetMessage]: Words) =>
    pressures.has(type)
      ? { type, status: 'True', reason: met, message: metMessage }
      : { type, status: 'False', reason: unmet, message: unmetMessage }
  return [
    pressure(
      'MemoryPressure',
      ['KubeletHasInsufficientMemory', 'kubelet has insufficient memory available'],
      ['KubeletHasSufficientMemory', 'kubelet has sufficient memory available'],
    ),
    pressure(
      'DiskPressure',
      ['KubeletHasDiskPressure', 'kubelet has disk pressure'],
      ['KubeletHasNoDiskPressure', 'kubelet has no disk pressure'],
    ),
    pressure(
      'PIDPressure',
      ['KubeletHasInsufficientPID', 'kubelet has insufficient PID available'],
      ['KubeletHasSufficientPID', 'kubelet has sufficient PID available'],
    ),
    ready,
  ].map((condition) => {
    const before = current.find(({ type }) => type === condition.type)
    return {
      ...condition,
      lastHeartbeatTime: time,
      lastTransitionTime: before?.status === condition.status ? (before.lastTransitionTime ?? time) : time,
    }
  })
}

export function newNode(facts: NodeFacts, now: number): Draft<Typed<Node>> {
  const { name, own } = facts
  return {
    metadata: { name, labels: nodeLabels(facts), ...(own && { annotations: { ...own.annotations } }) },
    spec: { ...(own && own.taints.length > 0 && { taints: [...own.taints] }) },
    status: nodeStatus(facts, undefined, now),
  }
}
