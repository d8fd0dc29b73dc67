/** Storage that a claim brings along, put beside the template's as far as that allows it. */
import { CLAIM_MESSAGES, type PersistentVolumeClaimTemplate, type SandboxTemplate } from '@caisson/api'
import type { Rejection } from './env.ts'

type Templates = readonly PersistentVolumeClaimTemplate[]

/** The template's and the claim's, in that order; with Overrides a claim's stands in the place of the one it replaces. */
export function withVolumeClaims(
  { spec }: SandboxTemplate,
  own: Templates,
): PersistentVolumeClaimTemplate[] | Rejection {
  const theirs = spec.volumeClaimTemplates ?? []
  const merging = own.length > 0
  const bad = problemOf(theirs)
  if (bad !== undefined)
    return rejected(
      merging
        ? `failed to merge volume claim templates: template: ${bad}`
        : `invalid volume claim templates in template: ${bad}`,
    )
  if (!merging) return [...theirs]
  const ownBad = problemOf(own)
  if (ownBad !== undefined) return rejected(`failed to merge volume claim templates: claim: ${ownBad}`)
  const policy = spec.volumeClaimTemplatesPolicy ?? 'Disallowed'
  if (policy === 'Disallowed')
    return rejected(`failed to merge volume claim templates: ${CLAIM_MESSAGES.volumeClaimTemplatesDisallowed}`)
  const names = new Set(theirs.map(({ metadata }) => metadata?.name))
  const taken = own.find(({ metadata }) => names.has(metadata?.name))
  if (policy === 'Allowed' && taken)
    return rejected(
      `failed to merge volume claim templates: overriding volume claim templates is forbidden by the template: cannot override template volume ${JSON.stringify(taken.metadata?.name)}`,
    )
  const added = new Map(own.map((each) => [each.metadata?.name, each]))
  const replaced = theirs.map((each) => added.get(each.metadata?.name) ?? each)
  return [...replaced, ...own.filter(({ metadata }) => !names.has(metadata?.name))]
}

function problemOf(templates: Templates): string | undefined {
  const names = new Set<string>()
  for (const [index, { metadata }] of templates.entries()) {
    const name = metadata?.name ?? ''
    if (!name) return `invalid volume claim templates: name at index ${index} is empty`
    if (names.has(name)) return `invalid volume claim templates: duplicate name ${JSON.stringify(name)}`
    names.add(name)
  }
  return undefined
}

function rejected(message: string): Rejection {
  return { rejected: message }
}
