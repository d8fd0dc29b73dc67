/** `spec.resourceClaims` of a Pod: a name each, and one place where the claim comes from. */
import type { FieldError } from '../../status-error.ts'
import { duplicate, forbidden, invalidValue, required } from '../field-error.ts'
import { dns1123Label, dns1123Subdomain } from '../names.ts'

export interface PodResourceClaim {
  name?: string
  resourceClaimName?: string
  resourceClaimTemplateName?: string
}

const SOURCES = ['resourceClaimName', 'resourceClaimTemplateName'] as const

/** @param isMirror of a Pod that a node runs from its own files */
export function validateResourceClaims(
  claims: readonly PodResourceClaim[],
  isMirror: boolean,
  errors: FieldError[],
): void {
  const names = new Set<string>()
  claims.forEach((claim, index) => {
    if (isMirror) {
      errors.push(forbidden('[]', 'static pods do not support resource claims'))
      return
    }
    const path = `spec.resourceClaims[${index}]`
    const { name = '', resourceClaimName, resourceClaimTemplateName } = claim
    if (name === '') errors.push(required(`${path}.name`))
    else if (names.has(name)) errors.push(duplicate(`${path}.name`, name))
    else for (const said of dns1123Label(name)) errors.push(invalidValue(`${path}.name`, name, said))
    names.add(name)
    const given = SOURCES.filter((source) => claim[source] !== undefined)
    const shown = {
      Name: name,
      ResourceClaimName: resourceClaimName ?? null,
      ResourceClaimTemplateName: resourceClaimTemplateName ?? null,
    }
    if (given.length > 1) {
      const said = 'at most one of `resourceClaimName` or `resourceClaimTemplateName` may be specified'
      errors.push(invalidValue(path, shown, said))
    }
    if (given.length === 0)
      errors.push(invalidValue(path, shown, 'must specify one of: `resourceClaimName`, `resourceClaimTemplateName`'))
    for (const source of given)
      for (const said of dns1123Subdomain(claim[source] as string))
        errors.push(invalidValue(`${path}.${source}`, claim[source], said))
  })
}
