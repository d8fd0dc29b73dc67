/** The three shapes in which a flat pool may have its template inline. */
import { isDeepStrictEqual } from 'node:util'
import type { PodTemplate } from '../sandbox/sandbox.ts'
import type { SandboxTemplateSpec } from '../template/template.ts'

type Inline = Readonly<Record<string, unknown>>

/** What a server adds to a SandboxTemplate that says nothing of it. */
const DEFAULTS: Readonly<Partial<SandboxTemplateSpec>> = {
  networkPolicyManagement: 'Managed',
  envVarsInjectionPolicy: 'Disallowed',
  volumeClaimTemplatesPolicy: 'Disallowed',
  envVarsDelivery: 'ColdStart',
}

export function withoutDefaults(spec: SandboxTemplateSpec): SandboxTemplateSpec {
  const entries = Object.entries(spec).filter(([field, value]) => value !== DEFAULTS[field as keyof typeof DEFAULTS])
  return Object.fromEntries(entries) as unknown as SandboxTemplateSpec
}

type Shape = 'template' | 'spec' | 'pod'

/** The spec of the SandboxTemplate that it means. A string says, naming no field, why it means none. */
export function inlineTemplate(inline: Inline): SandboxTemplateSpec | string {
  const { metadata, spec } = inline
  const shape = shapeOf(inline)
  // Each field is validated where the SandboxTemplate is written.
  if (shape === 'template') return withoutDefaults(spec as SandboxTemplateSpec)
  if (shape === 'spec') {
    const { metadata: _metadata, ...blueprint } = inline
    return withoutDefaults(blueprint as unknown as SandboxTemplateSpec)
  }
  if (shape === 'pod') {
    const { labels, annotations } = (isObject(metadata) ? metadata : {}) as NonNullable<PodTemplate['metadata']>
    const podMetadata = { ...(labels && { labels }), ...(annotations && { annotations }) }
    return {
      podTemplate: {
        ...(Object.keys(podMetadata).length > 0 && { metadata: podMetadata }),
        spec: spec as PodTemplate['spec'],
      },
    }
  }
  return 'expected spec.podTemplate (of a SandboxTemplate), podTemplate, or spec.containers (of a Pod template)'
}

/** The same shape for another spec, or the first where that one cannot say it. */
export function returnInlineTemplate(inline: Inline, wanted: SandboxTemplateSpec): Record<string, unknown> {
  const { podTemplate } = wanted
  const { metadata } = inline
  const candidates: Record<Shape, Inline> = {
    template: { ...(metadata !== undefined && { metadata }), spec: wanted },
    spec: { ...(metadata !== undefined && { metadata }), ...wanted },
    pod: { ...(podTemplate.metadata && { metadata: podTemplate.metadata }), spec: podTemplate.spec },
  }
  const kept = candidates[shapeOf(inline) ?? 'template']
  return isDeepStrictEqual(inlineTemplate(kept), wanted) ? kept : candidates.template
}

function shapeOf({ spec, podTemplate }: Inline): Shape | undefined {
  if (isObject(spec) && isObject(spec['podTemplate'])) return 'template'
  if (isObject(podTemplate)) return 'spec'
  if (isObject(spec) && Array.isArray(spec['containers'])) return 'pod'
  return undefined
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}
