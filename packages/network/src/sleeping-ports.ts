/** Published ports of Sandboxes that sleep because nothing happened in them: whoever connects wakes them. */
import { findCondition, isSuspendedForIdleness, type Sandbox } from '@caisson/api'
import { type Informer, type Informers, keyOf, resources, type SandboxWaker } from '@caisson/client'
import { portsOnLoopback } from './published-ports.ts'
import type { LoopbackPort, LoopbackPorts } from './services/loopback-ports.ts'

export interface SleepingPortsOptions {
  loopback: LoopbackPorts
  /** Of all Sandboxes whose Pods this machine runs. */
  sandboxes: Informer<Sandbox>
  informers: Informers
  waker: SandboxWaker
  signal: AbortSignal
}

/**
 * A Sandbox can be written as one that sleeps, without Pod Security ever having looked at a Pod of it: so only where that
 * lets everything pass.
 */
const LEVEL = 'pod-security.kubernetes.io/enforce'

/** UDP has no connections that could be held: its ports are closed meanwhile. */
export function openSleepingPorts({ loopback, sandboxes, informers, waker, signal }: SleepingPortsOptions): Disposable {
  const namespaces = informers.of(resources.namespaces)
  /** By the Sandbox: its open ports, by their keys. */
  const open = new Map<string, ReadonlyMap<string, LoopbackPort>>()
  /** By the Sandbox: its ports stay open until those of its Pod are, and so for all who come meanwhile. */
  const waking = new Set<string>()

  function look(sandbox: Sandbox | undefined, key: string): void {
    const before = open.get(key)
    const waits = sandbox && (sleeps(sandbox) || (before && waking.has(key))) && mayHavePorts(sandbox)
    const wanted = waits ? portsOf(sandbox, key) : new Map<string, LoopbackPort>()
    for (const each of before?.keys() ?? []) if (!wanted.has(each)) void loopback.close(each)
    for (const [each, port] of wanted) if (!before?.has(each)) void loopback.keep(each, port)
    if (wanted.size > 0) open.set(key, wanted)
    else open.delete(key)
  }

  function mayHavePorts({ metadata }: Sandbox): boolean {
    return namespaces.get(metadata.namespace ?? '')?.metadata.labels?.[LEVEL] === 'privileged'
  }

  function portsOf({ metadata: { namespace = '', name = '' }, spec }: Sandbox, key: string): Map<string, LoopbackPort> {
    return new Map(
      tcpPorts(spec).map(({ protocol, address, port }) => [
        `sandbox ${key} ${address} ${port}`,
        {
          protocol,
          address,
          port,
          placeholder: true,
          target: () => undefined,
          async awaken() {
            waking.add(key)
            try {
              await waker.wake({ namespace, name }, signal)
            } finally {
              waking.delete(key)
              look(sandboxes.get(key), key)
            }
            // Where the Pod's own port is by now.
            return { ip: address, port }
          },
        },
      ]),
    )
  }

  const changed = (sandbox: Sandbox): void => look(sandbox, keyOf(sandbox))
  const handle = sandboxes.handle({
    added: changed,
    updated: (_old, sandbox) => changed(sandbox),
    deleted: (sandbox) => look(undefined, keyOf(sandbox)),
  })
  const labelled = namespaces.handle({
    updated(_old, { metadata: { name } }) {
      for (const sandbox of sandboxes.list()) if (sandbox.metadata.namespace === name) changed(sandbox)
    },
  })
  return {
    [Symbol.dispose]() {
      handle[Symbol.dispose]()
      labelled[Symbol.dispose]()
    },
  }
}

/** Whether somebody may knock at a port of a Sandbox that sleeps. */
export function waitsAtPort(sandbox: Sandbox): boolean {
  return isSuspendedForIdleness(sandbox) && tcpPorts(sandbox.spec).length > 0
}

function tcpPorts({ podTemplate }: Sandbox['spec']): ReturnType<typeof portsOnLoopback> {
  return portsOnLoopback(podTemplate.spec).filter(({ protocol }) => protocol === 'tcp')
}

/** And its Pod, whose ports they were, is gone. */
function sleeps(sandbox: Sandbox): boolean {
  return isSuspendedForIdleness(sandbox) && findCondition(sandbox.status?.conditions, 'Suspended')?.status === 'True'
}
