/** Wires the plans of SandboxTemplates and of their NetworkPolicies to caches. */
import {
  controllerOf,
  EXTENSIONS_GROUP,
  LABELS,
  ownershipOf,
  referenceGroup,
  type Sandbox,
  type SandboxTemplate,
} from '@caisson/api'
import {
  type AnyObject,
  type Informer,
  type Informers,
  joinKey,
  keyOf,
  resources,
  sandboxTemplates,
} from '@caisson/client'
import { createEngine, type Engine, type EngineOptions } from '../engine/engine.ts'
import type { Pod } from '../sandbox/objects.ts'
import { BY_NAME_HASH, nameHashKey, olderNamesake, withNamesakes } from './name-collision.ts'
import { NETWORK_POLICIES, type NetworkPolicy, networkPolicyName, templateNameOf } from './network-policy.ts'
import { type ObservedPolicy, planLeftPolicy } from './plan-left-policy.ts'
import { type ObservedTemplate, planTemplate, policyFailure } from './plan-template.ts'
import type { PolicyFailures } from './policy-failures.ts'

export interface TemplateCaches {
  templates: Informer<SandboxTemplate>
  policies: Informer<NetworkPolicy>
  namespaces: Informer<AnyObject>
}

interface SelectedCaches {
  sandboxes: Informer<Sandbox>
  pods: Informer<Pod>
}

/** Index of Sandboxes, of Pods and of NetworkPolicies by namespace and the hash of the template that they are of. */
const BY_TEMPLATE = 'templateRefHash'

export function templateCaches(informers: Informers): TemplateCaches {
  return {
    templates: informers.of(sandboxTemplates, { indexers: { [BY_NAME_HASH]: nameHashKey } }),
    policies: informers.of(NETWORK_POLICIES, { indexers: { [BY_TEMPLATE]: selectedKey } }),
    namespaces: informers.of<AnyObject>(resources.namespaces),
  }
}

/** What has the name of the template's NetworkPolicy. */
export function policyOf(
  { policies }: Pick<TemplateCaches, 'policies'>,
  template: SandboxTemplate,
): NetworkPolicy | undefined {
  return policies.get(joinKey(template.metadata.namespace, networkPolicyName(template)))
}

/** An older template of the namespace whose name has the same hash; of two made in the same second, that with a policy. */
export function olderTemplate(
  { templates, policies }: Pick<TemplateCaches, 'templates' | 'policies'>,
  template: SandboxTemplate,
): string | undefined {
  return olderNamesake(templates, template, (each) => {
    const policy = policyOf({ policies }, each)
    return policy !== undefined && ownershipOf(policy, each) === 'owned'
  })
}

export function startTemplateController(
  caches: TemplateCaches & SelectedCaches,
  options: EngineOptions & { policyFailures: PolicyFailures },
): AsyncDisposable & Pick<Engine, 'idle'> {
  const { templates, policies, namespaces } = caches
  const { policyFailures } = options
  const engine = createEngine<SandboxTemplate, ObservedTemplate>(
    {
      name: 'template',
      informer: templates,
      others: [policies],
      observe(template, failures) {
        const observed = {
          template,
          policy: policyOf({ policies }, template),
          namespaceUid: namespaces.get(template.metadata.namespace ?? '')?.metadata.uid,
          namesake: olderTemplate({ templates, policies }, template),
          failures,
        }
        const failure = policyFailure(observed)
        if (failure !== 'undone') policyFailures.note(template, failure)
        return observed
      },
      plan: planTemplate,
    },
    options,
  )
  // Which of those with the same hash is in the way of which may be another now.
  const enqueue = (template: SandboxTemplate): void => {
    for (const each of withNamesakes(templates, template)) engine.enqueue(keyOf(each))
  }
  const enqueueOf = (policy: NetworkPolicy): void => {
    const owner = controllerOf(policy)
    const named = owner?.kind === sandboxTemplates.kind && referenceGroup(owner) === EXTENSIONS_GROUP
    // A stranger with that name stands in the way, and its going clears it.
    const name = named ? owner.name : templateNameOf(policy)
    const template = name === undefined ? undefined : templates.get(joinKey(policy.metadata.namespace, name))
    if (template) enqueue(template)
  }
  const left = startLeftPolicies(caches, options)
  const handlers = [
    templates.handle({
      added: enqueue,
      updated: (_old, template) => enqueue(template),
      deleted(template) {
        policyFailures.gone(template)
        enqueue(template)
      },
    }),
    policies.handle({
      added: enqueueOf,
      updated(old, policy) {
        enqueueOf(old)
        enqueueOf(policy)
      },
      deleted: enqueueOf,
    }),
    namespaces.handle({
      added({ metadata }) {
        for (const template of templates.list()) if (template.metadata.namespace === metadata.name) enqueue(template)
      },
    }),
  ]
  return {
    async idle() {
      await Promise.all([engine.idle(), left.idle()])
    },
    async [Symbol.asyncDispose]() {
      for (const handler of handlers) handler[Symbol.dispose]()
      await Promise.all([engine[Symbol.asyncDispose](), left[Symbol.asyncDispose]()])
    },
  }
}

/** Sees to NetworkPolicies that have lost their template. */
function startLeftPolicies(
  { templates, policies, sandboxes, pods }: TemplateCaches & SelectedCaches,
  options: EngineOptions,
): AsyncDisposable & Pick<Engine, 'idle'> {
  sandboxes.addIndex(BY_TEMPLATE, labelledKey)
  pods.addIndex(BY_TEMPLATE, labelledKey)
  const selected = [sandboxes, pods] as readonly Pick<Informer<AnyObject>, 'byIndex' | 'handle'>[]
  const engine = createEngine<NetworkPolicy, ObservedPolicy>(
    {
      name: 'network-policy',
      informer: policies,
      others: [],
      observe: (policy, failures) => ({
        policy,
        hasTemplate: templates.get(joinKey(policy.metadata.namespace, templateNameOf(policy) ?? '')) !== undefined,
        isInUse: selectedKey(policy).some((key) => selected.some((kind) => kind.byIndex(BY_TEMPLATE, key).length > 0)),
        failures,
      }),
      plan: planLeftPolicy,
    },
    options,
  )
  const enqueue = (policy: NetworkPolicy): void => engine.enqueue(keyOf(policy))
  const enqueueSelecting = (object: AnyObject): void => {
    for (const key of labelledKey(object)) policies.byIndex(BY_TEMPLATE, key).forEach(enqueue)
  }
  const handlers = [
    policies.handle({ added: enqueue, updated: (_old, policy) => enqueue(policy) }),
    templates.handle({
      deleted: (template) => engine.enqueue(joinKey(template.metadata.namespace, networkPolicyName(template))),
    }),
    ...selected.map((kind) => kind.handle({ deleted: enqueueSelecting })),
  ]
  return {
    idle: () => engine.idle(),
    async [Symbol.asyncDispose]() {
      for (const handler of handlers) handler[Symbol.dispose]()
      await engine[Symbol.asyncDispose]()
    },
  }
}

function labelledKey({ metadata }: AnyObject): string[] {
  const hash = metadata.labels?.[LABELS.templateRefHash]
  return hash === undefined ? [] : [joinKey(metadata.namespace, hash)]
}

function selectedKey({ metadata, spec }: NetworkPolicy): string[] {
  const hash = spec?.podSelector?.matchLabels?.[LABELS.templateRefHash]
  return hash === undefined ? [] : [joinKey(metadata.namespace, hash)]
}
