/** ResourceQuota: what the objects of a namespace may take together. */
import type { KubeObject } from '@caisson/api'
import type { FieldError } from '../../status-error.ts'
import { invalidValue, required } from '../field-error.ts'
import { MAX_ERRORS } from '../object-meta.ts'
import type { Strategy } from '../resource.ts'
import {
  isQuotaResource,
  type ResourceList,
  validateAmount,
  validateQuotaResourceName,
} from './resource-requirements.ts'

export interface ScopeRequirement {
  scopeName: string
  operator: string
  values?: readonly string[] | null
}

export interface ResourceQuota extends KubeObject {
  spec?: {
    hard?: ResourceList | null
    scopes?: readonly string[] | null
    scopeSelector?: { matchExpressions?: readonly ScopeRequirement[] | null } | null
  }
  status?: { hard?: ResourceList | null; used?: ResourceList | null }
}

const POD_SCOPES = new Set([
  'Terminating',
  'NotTerminating',
  'NotBestEffort',
  'PriorityClass',
  'CrossNamespacePodAffinity',
])
const SCOPES = new Set([...POD_SCOPES, 'BestEffort', 'VolumeAttributesClass'])
const POD_RESOURCES = new Set([
  'pods',
  'cpu',
  'memory',
  'limits.cpu',
  'limits.memory',
  'requests.cpu',
  'requests.memory',
])
const CLAIM_RESOURCES = new Set(['persistentvolumeclaims', 'requests.storage'])
const CONFLICTING = [
  ['BestEffort', 'NotBestEffort'],
  ['Terminating', 'NotTerminating'],
] as const

export const resourceQuotaStrategy: Strategy = {
  generation: false,
  returnsDeleted: true,
  prepareForCreate(object) {
    object.status = {}
  },
  prepareForUpdate(next, current) {
    next.status = current.status ?? {}
  },
  validate: (object) => validateSpec(object as ResourceQuota),
  validateUpdate(next, current) {
    const errors = validateSpec(next as ResourceQuota)
    const scopesOf = (quota: ResourceQuota): string => JSON.stringify([...new Set(quota.spec?.scopes)].sort())
    if (scopesOf(next as ResourceQuota) !== scopesOf(current as ResourceQuota))
      errors.push(invalidValue('spec.scopes', (next as ResourceQuota).spec?.scopes ?? null, 'field is immutable'))
    return errors
  },
  validateStatusUpdate(next) {
    const errors: FieldError[] = []
    const { hard, used } = (next as ResourceQuota).status ?? {}
    validateAmounts(hard, 'status.hard', errors)
    validateAmounts(used, 'status.used', errors)
    return errors
  },
}

function validateAmounts(amounts: ResourceList | null | undefined, path: string, errors: FieldError[]): void {
  for (const name in amounts ?? {}) {
    validateQuotaResourceName(name, `${path}[${name}]`, errors)
    validateAmount(name, (amounts as ResourceList)[name] as string, `${path}[${name}]`, errors)
  }
}

function validateSpec({ spec = {} }: ResourceQuota): FieldError[] {
  const errors: FieldError[] = []
  validateAmounts(spec.hard, 'spec.hard', errors)
  const scopes = spec.scopes ?? []
  const checkScope = createScopeCheck(Object.keys(spec.hard ?? {}), errors)
  for (const scope of scopes) {
    if (!SCOPES.has(scope)) errors.push(invalidValue('spec.scopes', scopes, 'unsupported scope'))
    checkScope(scope, 'spec.scopes', scopes)
  }
  refuseConflicts(new Set(scopes), 'spec.scopes', scopes, errors)
  if (spec.scopeSelector) validateSelector(spec, checkScope, errors)
  return errors
}

type ScopeCheck = (scope: string, path: string, shown: unknown) => void

/** Says of a scope, as often as it is named, each of the resources that it has nothing to do with. */
function createScopeCheck(resources: readonly string[], errors: FieldError[]): ScopeCheck {
  const counts = new Map<string, number>()
  return (scope, path, shown) => {
    if (!SCOPES.has(scope)) return
    const count = counts.get(scope) ?? resources.filter((name) => !appliesTo(scope, name)).length
    counts.set(scope, count)
    for (let said = 0; said < count && errors.length < MAX_ERRORS; said++)
      errors.push(invalidValue(path, shown, 'unsupported scope applied to resource'))
  }
}

function validateSelector(
  spec: NonNullable<ResourceQuota['spec']>,
  checkScope: ScopeCheck,
  errors: FieldError[],
): void {
  const path = 'spec.scopeSelector.matchExpressions'
  const requirements = spec.scopeSelector?.matchExpressions ?? []
  for (const { scopeName, operator, values } of requirements) {
    if (!SCOPES.has(scopeName)) errors.push(invalidValue(`${path}.scopeName`, scopeName, 'unsupported scope'))
    checkScope(scopeName, path, spec.scopeSelector)
    if ((POD_SCOPES.has(scopeName) || scopeName === 'BestEffort') && scopeName !== 'PriorityClass') {
      if (operator !== 'Exists')
        errors.push(
          invalidValue(
            `${path}.operator`,
            operator,
            "must be 'Exists' when scope is any of ResourceQuotaScopeTerminating, ResourceQuotaScopeNotTerminating, ResourceQuotaScopeBestEffort, ResourceQuotaScopeNotBestEffort or ResourceQuotaScopeCrossNamespacePodAffinity",
          ),
        )
    }
    validateOperator(operator, values ?? [], path, errors)
  }
  refuseConflicts(new Set(requirements.map(({ scopeName }) => scopeName)), path, spec.scopes ?? null, errors)
}

function validateOperator(operator: string, values: readonly string[], path: string, errors: FieldError[]): void {
  if (operator === 'In' || operator === 'NotIn') {
    if (values.length > 0) return
    const said = "must be at least one value when `operator` is 'In' or 'NotIn' for scope selector"
    errors.push(required(`${path}.values`, said))
  } else if (operator === 'Exists' || operator === 'DoesNotExist') {
    if (values.length === 0) return
    const said = "must be no value when `operator` is 'Exist' or 'DoesNotExist' for scope selector"
    errors.push(invalidValue(`${path}.values`, values, said))
  } else errors.push(invalidValue(`${path}.operator`, operator, 'not a valid selector operator'))
}

function refuseConflicts(present: ReadonlySet<string>, path: string, shown: unknown, errors: FieldError[]): void {
  for (const [one, other] of CONFLICTING)
    if (present.has(one) && present.has(other)) errors.push(invalidValue(path, shown, 'conflicting scopes'))
}

/** Names that quotas know nothing special of go with every scope. */
function appliesTo(scope: string, name: string): boolean {
  if (!isQuotaResource(name)) return true
  if (POD_SCOPES.has(scope)) return POD_RESOURCES.has(name)
  if (scope === 'BestEffort') return name === 'pods'
  if (scope === 'VolumeAttributesClass') return CLAIM_RESOURCES.has(name)
  return true
}
