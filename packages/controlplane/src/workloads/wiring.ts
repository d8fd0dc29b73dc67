/** What the controllers of the kinds that make Pods are made of: what they all look at, and how a change sets one off. */
import { controllerOf, type LabelSelector, selects } from '@caisson/api'
import { type AnyObject, type Informer, type Informers, joinKey, keyOf, resources } from '@caisson/client'
import { type ControllerDefinition, createEngine, type Engine } from '@caisson/controllers'
import type { PartOptions } from '../part-wiring.ts'

export interface WorkloadOptions extends PartOptions {
  now(): number
}

/** Objects by their namespace and the UID of their controller there, which is empty where nobody controls them. */
const BY_CONTROLLER = 'controller'

function byController(object: AnyObject): string[] {
  return [joinKey(object.metadata.namespace, controllerOf(object)?.uid ?? '')]
}

export const BY_NAMESPACE = 'namespace'

function byNamespace({ metadata }: AnyObject): string[] {
  return [metadata.namespace ?? '']
}

/** What an owner controls: in its own namespace, for anybody who reads its UID may name it in another. */
export function controlledBy<T extends AnyObject>(
  informer: Informer<T>,
  owner: { namespace?: string | undefined; uid?: string | undefined },
): readonly T[] {
  return owner.uid ? informer.byIndex(BY_CONTROLLER, joinKey(owner.namespace, owner.uid)) : []
}

/** What an owner controls, and what it might adopt. */
export function candidates<T extends AnyObject>(informer: Informer<T>, owner: AnyObject): T[] {
  return [
    ...controlledBy(informer, owner.metadata),
    ...informer.byIndex(BY_CONTROLLER, joinKey(owner.metadata.namespace, '')),
  ]
}

export type Kinds = ReturnType<typeof kindsOf>

/** To be asked for before `informers` are synced: their indexes are made with what is listed. */
export function kindsOf(informers: Informers) {
  const indexers = { [BY_CONTROLLER]: byController, [BY_NAMESPACE]: byNamespace }
  const inNamespaces = { indexers: { [BY_NAMESPACE]: byNamespace } }
  return {
    pods: informers.of(resources.pods, { indexers }),
    sets: informers.of(resources.replicaSets, { indexers }),
    controllers: informers.of(resources.replicationControllers, inNamespaces),
    deployments: informers.of(resources.deployments, inNamespaces),
    jobs: informers.of(resources.jobs, { indexers }),
    cronJobs: informers.of(resources.cronJobs),
    statefulSets: informers.of(resources.statefulSets, inNamespaces),
    daemonSets: informers.of(resources.daemonSets, inNamespaces),
    revisions: informers.of(resources.controllerRevisions, { indexers }),
    nodes: informers.of(resources.nodes),
    budgets: informers.of(resources.podDisruptionBudgets, inNamespaces),
    claims: informers.of(resources.persistentVolumeClaims, inNamespaces),
  }
}

/** Objects that are worked on at the same time, of each kind. */
const CONCURRENCY = 5

export interface Wiring {
  kinds: Kinds
  options: WorkloadOptions
  /** What has been started. */
  stack: AsyncDisposableStack
  /** Starts a controller: changes of its own kind set it off. */
  start<T extends AnyObject & { status?: object }, O>(definition: ControllerDefinition<T, O>): Engine
  /**
   * Calls for whoever owns a changed object, before and after the change, and, of an object that nobody controls, for those
   * of its namespace that select it, which might adopt it.
   *
   * @param selectorOf of owners that adopt; their informer has the index of `BY_NAMESPACE`
   */
  follow<T extends AnyObject, O extends AnyObject>(
    informer: Informer<T>,
    owners: Informer<O>,
    engine: Engine,
    selectorOf?: (owner: O) => LabelSelector | undefined,
  ): void
}

export function createWiring(kinds: Kinds, options: WorkloadOptions, stack: AsyncDisposableStack): Wiring {
  return {
    kinds,
    options,
    stack,
    start<T extends AnyObject & { status?: object }, O>(definition: ControllerDefinition<T, O>): Engine {
      const engine = stack.use(
        createEngine(definition, {
          client: options.client,
          record: (object, { type, reason, message }) =>
            options.record(definition.name, object, { type, reason, message }),
          concurrency: CONCURRENCY,
          now: options.now,
          onError: (error, key) => options.onError(error, `${definition.name} ${key}`),
        }),
      )
      stack.use(
        definition.informer.handle({
          added: (object) => engine.enqueue(keyOf(object)),
          updated: (_old, object) => engine.enqueue(keyOf(object)),
        }),
      )
      return engine
    },
    follow(informer, owners, engine, selectorOf) {
      const { kind } = owners.resource
      const changed = (object: AnyObject): void => {
        const owner = controllerOf(object)
        if (owner) {
          if (owner.kind === kind) engine.enqueue(`${object.metadata.namespace}/${owner.name}`)
          return
        }
        if (!selectorOf) return
        for (const each of owners.byIndex(BY_NAMESPACE, object.metadata.namespace ?? ''))
          if (selects(selectorOf(each), object.metadata.labels)) engine.enqueue(keyOf(each))
      }
      stack.use(
        informer.handle({
          added: changed,
          updated(old, object) {
            if (controllerOf(old)?.uid !== controllerOf(object)?.uid) changed(old)
            changed(object)
          },
          deleted: changed,
        }),
      )
    },
  }
}
