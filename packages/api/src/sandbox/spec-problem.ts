import { z } from 'zod'
import { sandboxSpec } from './sandbox.ts'

/** What is read of a PodSpec besides handing it on. */
const readable = z.object({
  podTemplate: z.object({
    spec: z.object({
      containers: z.array(z.object({ ports: z.array(z.object({})).nullish() })),
      initContainers: z.array(z.object({ ports: z.array(z.object({})).nullish() })).nullish(),
      volumes: z.array(z.object({ name: z.string() })).nullish(),
    }),
  }),
})

const known = new WeakMap<object, { problem: string | undefined }>()

/**
 * What makes a stored spec unusable, as one sentence with the field's path; undefined for a good one. With our own
 * CustomResourceDefinition in place nothing does: this is for others that validate less.
 */
export function sandboxSpecProblem(spec: unknown): string | undefined {
  if (typeof spec !== 'object' || spec === null) return 'spec: Required value'
  // Objects from a cache are frozen and looked at many times.
  let answer = known.get(spec)
  if (!answer) {
    answer = { problem: findProblem(spec) }
    if (Object.isFrozen(spec)) known.set(spec, answer)
  }
  return answer.problem
}

function findProblem(spec: object): string | undefined {
  for (const schema of [sandboxSpec, readable]) {
    const [issue] = schema.safeParse(spec).error?.issues ?? []
    if (issue) return `${['spec', ...issue.path].map(String).join('.')}: ${issue.message}`
  }
  return undefined
}
