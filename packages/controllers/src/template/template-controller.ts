/** Wires the SandboxTemplate plan to caches. */
import { controllerOf, EXTENSIONS_GROUP, referenceGroup, type SandboxTemplate } from '@caisson/api'
import { type Informer, type Informers, joinKey, keyOf, sandboxTemplates } from '@caisson/client'
import { createEngine, type Engine, type EngineOptions } from '../engine/engine.ts'
import { NETWORK_POLICIES, type NetworkPolicy, networkPolicyName } from './network-policy.ts'
import { type ObservedTemplate, planTemplate } from './plan-template.ts'

export interface TemplateCaches {
  templates: Informer<SandboxTemplate>
  policies: Informer<NetworkPolicy>
}

export function templateCaches(informers: Informers): TemplateCaches {
  return { templates: informers.of(sandboxTemplates), policies: informers.of(NETWORK_POLICIES) }
}

/** What has the name of the template's NetworkPolicy. */
export function policyOf(
  { policies }: Pick<TemplateCaches, 'policies'>,
  template: SandboxTemplate,
): NetworkPolicy | undefined {
  return policies.get(joinKey(template.metadata.namespace, networkPolicyName(template)))
}

export function startTemplateController(
  { templates, policies }: TemplateCaches,
  options: EngineOptions,
): AsyncDisposable & Pick<Engine, 'idle'> {
  const engine = createEngine<SandboxTemplate, ObservedTemplate>(
    {
      name: 'template',
      informer: templates,
      others: [policies],
      observe: (template, failures) => ({ template, policy: policyOf({ policies }, template), failures }),
      plan: planTemplate,
    },
    options,
  )
  const enqueue = (template: SandboxTemplate): void => engine.enqueue(keyOf(template))
  const enqueueOf = (policy: NetworkPolicy): void => {
    const owner = controllerOf(policy)
    const named = owner?.kind === sandboxTemplates.kind && referenceGroup(owner) === EXTENSIONS_GROUP
    // A stranger with that name stands in the way, and its going clears it.
    const template = named ? owner.name : (policy.metadata.name ?? '').replace(/-network-policy$/, '')
    engine.enqueue(joinKey(policy.metadata.namespace, template))
  }
  const handlers = [
    templates.handle({ added: enqueue, updated: (_old, template) => enqueue(template), deleted: enqueue }),
    policies.handle({
      added: enqueueOf,
      updated(old, policy) {
        enqueueOf(old)
        enqueueOf(policy)
      },
      deleted: enqueueOf,
    }),
  ]
  return {
    idle: () => engine.idle(),
    async [Symbol.asyncDispose]() {
      for (const handler of handlers) handler[Symbol.dispose]()
      await engine[Symbol.asyncDispose]()
    },
  }
}
