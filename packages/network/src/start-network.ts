/** The node's part of the cluster's network: policies, Services and names in force for the Pods of this machine. */
import type { Socket } from 'node:net'
import { isDeepStrictEqual } from 'node:util'
import {
  type AnyObject,
  type EventInput,
  type Informer,
  type Informers,
  joinKey,
  keyOf,
  type PodObject,
  resources,
} from '@caisson/client'
import type { NetworkControl, RefusedPieces } from '@caisson/runtime'
import { clusterNames, SLICES_BY_SERVICE, slicesByService } from './cluster-names.ts'
import { connectToPod } from './connect-to-pod.ts'
import { API_SERVICE, createGatewayDoors } from './gateway-doors.ts'
import type { NetworkGate, PodAddress } from './network-gate.ts'
import { policyPod } from './pod-addresses.ts'
import { createPolicyBudget } from './policy/policy-budget.ts'
import { type Policy, readPolicy } from './policy/policy-model.ts'
import { createPolicyRules } from './policy/policy-rules.ts'
import { publishedPorts } from './published-ports.ts'
import type { ApiServerAddress } from './services/doors.ts'
import { createLoopbackPorts } from './services/loopback-ports.ts'
import { type ProcessService, processSlices } from './services/process-service.ts'
import type { SliceObject } from './services/service-model.ts'
import { createServiceRules } from './services/service-rules.ts'
import { openSleepingPorts, type SleepingPortsOptions } from './sleeping-ports.ts'
import { createServiceWaker } from './sleeping-services.ts'

export interface StartNetworkOptions {
  informers: Informers
  /** Whose Pods these are: no others are looked at. */
  nodeName: string
  /** Of the runtime whose sandboxes these are. */
  control: NetworkControl
  /** What the Service `kubernetes` in the namespace `default` leads to. */
  apiServer: ApiServerAddress
  /** A Service of another process of this machine. */
  process?: ProcessService
  dns: {
    /** `cluster.local` */
    domain: string
    /** Within `serviceRange`. */
    address: string
  }
  /** The addresses of Services. */
  serviceRange: string
  /** The Sandboxes of which Pods run here, where connections are to wake those that sleep. */
  sleepers?: Pick<SleepingPortsOptions, 'sandboxes' | 'waker'>
  signal: AbortSignal
  /** Writes an Event about an object that cannot be in force as it is written. */
  record(about: AnyObject, event: EventInput): void
  onError(error: unknown, where: string): void
}

/** Disposing leaves the rules in force. */
export interface Network extends NetworkGate, AsyncDisposable {
  /**
   * A TCP connection from this process to a port of a Pod, or to a Service. `host` is the address of a Pod of this
   * machine, the address of a Service, or `NAME.NAMESPACE.svc`, which lead to Pods of its namespace; anything else is
   * refused, so that no manifest makes this process reach what only it can reach. Rejects where nobody listens.
   */
  connect(host: string, port: number, signal?: AbortSignal): Promise<Socket>
  /** Sets everything up before the first Pod asks for it. Rejects with code `network-missing` where this machine cannot. */
  prepare(): Promise<void>
}

const PODS_BY_NAMESPACE = 'namespace'
const NONE_REFUSED: RefusedPieces = new Map()
const CLOSED = 'Nothing gets through for the Pods that this policy selects'
const LEFT_OUT = 'This Service leads nowhere'

/** Resolves when everything that rules are made from has been seen once. Nothing of the machine is touched before a Pod has an address. */
export async function startNetwork(options: StartNetworkOptions): Promise<Network> {
  const { informers, control, signal, record, onError, dns, serviceRange } = options
  await using stack = new AsyncDisposableStack()
  const rules = createPolicyRules()
  const addresses = new Map<string, PodAddress>()

  const namespaces = informers.of(resources.namespaces)
  const pods = informers.of(resources.pods, {
    fieldSelector: `spec.nodeName=${options.nodeName}`,
    indexers: { [PODS_BY_NAMESPACE]: ({ metadata }) => [metadata.namespace ?? ''] },
  })
  const policies = informers.of(resources.networkPolicies)
  const services = informers.of(resources.services)
  const slices = informers.of(resources.endpointSlices, { indexers: { [SLICES_BY_SERVICE]: slicesByService } })
  await informers.synced(signal)

  const loopback = stack.use(createLoopbackPorts(onError))
  const { sleepers } = options
  const serviceRules = createServiceRules({
    loopback,
    ...(sleepers && createServiceWaker({ ...sleepers, slices, signal })),
    podNamespaceAt: (ip) => rules.podAt(ip)?.namespace,
    onLeftOut: (service, why) => warn(service, `${LEFT_OUT}: ${why}`),
  })
  const names = clusterNames({
    domain: dns.domain,
    services,
    slices,
    namespaces,
    rules,
    ranges() {
      const place = doors.place()
      return [serviceRange, ...(place ? [place.range] : [])]
    },
  })
  const doors = stack.use(
    createGatewayDoors({
      ...options,
      process: options.process,
      rules,
      names,
      onProcessDoor() {
        if (options.process) setService(joinKey(options.process.namespace, options.process.name))
      },
    }),
  )
  const published = publishedPorts(loopback)
  const sleeping = stack.use(new DisposableStack())
  let adopted = false
  let scheduled = false

  function warn(about: AnyObject, message: string): void {
    record(about, { type: 'Warning', reason: 'NotEnforceable', message })
  }

  function setPod(pod: PodObject): void {
    const address = addresses.get(pod.metadata.uid ?? '')
    if (address) rules.setPod(policyPod(pod, namespaces.get(pod.metadata.namespace ?? ''), address))
  }

  let applied: Promise<RefusedPieces> = Promise.resolve(NONE_REFUSED)
  /** Resolves when all that was set until now is in force, but for what the kernel refused. */
  function flush(): Promise<RefusedPieces> {
    applied = applied.catch(() => {}).then(apply)
    return applied
  }

  /** Before the first sandbox has an address there is nothing to protect, and nothing of the machine's is changed. */
  async function apply(): Promise<RefusedPieces> {
    if (!adopted || (addresses.size === 0 && !doors.place())) return NONE_REFUSED
    await doors.open()
    const change = new Map([...rules.take(), ...serviceRules.take()])
    const piece = doorsStale && doors.piece()
    if (piece) change.set('doors', piece)
    doorsStale = false
    // Also where nothing is new: what the kernel did not take the last time goes to it again.
    const refused = await control.change(change)
    doors.process()?.recheck()
    for (const [key, error] of refused) tellRefused(key, error)
    return refused
  }

  /** Who wrote what the kernel refuses hears of it; it is closed until it is written otherwise. */
  function tellRefused(key: string, error: Error): void {
    const [kind, name = ''] = key.split(' ')
    const about = kind === 'policy' ? policies.get(name) : kind === 'service' ? services.get(name) : undefined
    onError(error, key)
    if (about) warn(about, `${kind === 'policy' ? CLOSED : LEFT_OUT}: ${error.message}`)
  }
  let doorsStale = true

  /** What changes in one turn goes to the kernel together. */
  function changed(): void {
    if (scheduled) return
    scheduled = true
    queueMicrotask(() => {
      scheduled = false
      flush().catch((error: unknown) => onError(error, 'the rules of the pod network'))
    })
  }

  function follow<T extends AnyObject>(
    informer: Informer<T>,
    set: (object: T, old?: T) => void,
    gone: (object: T) => void = () => {},
  ): void {
    const told = (work: () => void): void => {
      work()
      changed()
    }
    stack.use(
      informer.handle({
        added: (object) => told(() => set(object)),
        updated: (old, object) => told(() => set(object, old)),
        deleted: (object) => told(() => gone(object)),
      }),
    )
  }

  const budget = createPolicyBudget()
  function setPolicies(inForce: ReadonlyMap<string, Policy | undefined>): void {
    for (const [key, policy] of inForce) {
      const object = policies.get(key)
      if (object && policy?.problem !== undefined) warn(object, `${CLOSED}: ${policy.problem}`)
      if (policy) rules.setPolicy(key, policy)
      else rules.removePolicy(key)
    }
  }

  // Before its Sandbox is said to sleep, whose ports they are then.
  follow(pods, setPod, ({ metadata }) => published.close(metadata.uid ?? ''))
  follow(namespaces, (namespace) => {
    for (const pod of pods.byIndex(PODS_BY_NAMESPACE, keyOf(namespace))) setPod(pod)
  })
  follow(
    policies,
    (policy, old) => {
      // Whoever annotates one has nobody compared with it again.
      if (old?.metadata.uid === policy.metadata.uid && isDeepStrictEqual(old?.spec, policy.spec)) return
      setPolicies(budget.set(keyOf(policy), readPolicy(policy), policy.metadata.creationTimestamp ?? ''))
    },
    (policy) => {
      rules.removePolicy(keyOf(policy))
      setPolicies(budget.remove(keyOf(policy)))
    },
  )
  function setService(key: string): void {
    if (key === API_SERVICE) doorsStale = true
    // Names are answered here, whoever else does so elsewhere in the cluster.
    else if (services.get(key)?.spec?.clusterIP === dns.address) serviceRules.set(key, undefined, [])
    else serviceRules.set(key, services.get(key), slicesOf(key))
  }
  function slicesOf(key: string): readonly SliceObject[] {
    const own = slices.byIndex(SLICES_BY_SERVICE, key)
    if (!options.process || key !== joinKey(options.process.namespace, options.process.name)) return own
    const [place, door] = [doors.place(), doors.process()]
    return processSlices(services.get(key), own, place && door && { ip: place.gateway, port: door.port })
  }
  follow(
    services,
    (service) => setService(keyOf(service)),
    (service) => setService(keyOf(service)),
  )
  /** Both Services where it is another's now. */
  const setSlice = (slice: SliceObject, old?: SliceObject): void =>
    new Set([slice, ...(old ? [old] : [])].flatMap(slicesByService)).forEach(setService)
  follow(slices, setSlice, setSlice)

  const owned = stack.move()
  return {
    async adopt(found) {
      for (const address of found) addresses.set(address.uid, address)
      for (const pod of pods.list()) {
        setPod(pod)
        const address = addresses.get(pod.metadata.uid ?? '')
        if (address) await published.adopt(pod, address)
      }
      adopted = true
      await flush()
      // Not before those of Pods that run.
      if (sleepers) sleeping.use(openSleepingPorts({ ...sleepers, informers, loopback, signal }))
    },
    async admit(pod, address) {
      addresses.set(address.uid, address)
      setPod(pod)
      await published.open(pod, address)
      const own = (await flush()).get(`pod ${address.uid}`)
      if (own) throw own
    },
    leave(uid) {
      if (!addresses.delete(uid)) return
      rules.removePod(uid)
      published.close(uid)
      changed()
    },
    prepare: () => doors.open(),
    connect: (host, port, aborted) => connectToPod(host, port, { names, signal: aborted }),
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  }
}
