/**
 * Why NetworkPolicies of templates could not be written. Nothing of it is stored: whoever begins anew tries, and is told
 * again. It counts for the template as it was then, until the policy is written or is not wanted any more.
 */
import type { SandboxTemplate } from '@caisson/api'

export interface PolicyFailure {
  message: string
  /** Only an edit of the template helps. */
  permanent: boolean
}

export interface PolicyFailures {
  of(template: SandboxTemplate): PolicyFailure | undefined
  /** Undefined: nothing is in the way. */
  note(template: SandboxTemplate, failure: PolicyFailure | undefined): void
  gone(template: SandboxTemplate): void
  /** Called with a template of which something else is to be said. */
  onChange(changed: (template: SandboxTemplate) => void): Disposable
}

export function createPolicyFailures(): PolicyFailures {
  /** By the template's UID. */
  const known = new Map<string, PolicyFailure & { generation: number | undefined }>()
  const listeners = new Set<(template: SandboxTemplate) => void>()

  function of({ metadata: { uid = '', generation } }: SandboxTemplate): PolicyFailure | undefined {
    const failure = known.get(uid)
    return failure?.generation === generation ? failure : undefined
  }

  return {
    of,
    note(template, failure) {
      const { uid = '', generation } = template.metadata
      const before = of(template)
      if (failure) known.set(uid, { ...failure, generation })
      else known.delete(uid)
      if (before?.message === failure?.message && before?.permanent === failure?.permanent) return
      for (const listener of listeners) listener(template)
    },
    gone: ({ metadata: { uid = '' } }) => void known.delete(uid),
    onChange(changed) {
      listeners.add(changed)
      return { [Symbol.dispose]: () => void listeners.delete(changed) }
    },
  }
}
