/** CertificateSigningRequests: what is asked for is fixed, approval and certificate come through doors of their own. */
import { X509Certificate } from 'node:crypto'
import { type KubeObject, kubernetesTime } from '@caisson/api'
import type {
  CertificateSigningRequestCondition,
  CertificateSigningRequestSpec,
  CertificateSigningRequestStatus,
} from 'kubernetes-types/certificates/v1.d.ts'
import { parseSigningRequest } from '../../authn/signing-request.ts'
import type { FieldError } from '../../status-error.ts'
import { certificateSigningRequestColumns } from '../../table/certificate-columns.ts'
import { duplicate, forbidden, invalidValue, notSupported, required } from '../field-error.ts'
import { dns1123Label, dns1123Subdomain, pathSegment } from '../names.ts'
import type { Strategy, StrategyContext } from '../resource.ts'
import { deepEqual } from './deep-equal.ts'
import type { Kind } from './kind.ts'

export interface SigningRequestObject extends KubeObject {
  spec: CertificateSigningRequestSpec & { expirationSeconds?: number }
  status?: CertificateSigningRequestStatus
}

type Condition = CertificateSigningRequestCondition

const FINAL = ['Approved', 'Denied', 'Failed']
const USAGES = [
  'any',
  'cert sign',
  'client auth',
  'code signing',
  'content commitment',
  'crl sign',
  'data encipherment',
  'decipher only',
  'digital signature',
  'email protection',
  'encipher only',
  'ipsec end system',
  'ipsec tunnel',
  'ipsec user',
  'key agreement',
  'key encipherment',
  'microsoft sgc',
  'netscape sgc',
  'ocsp signing',
  's/mime',
  'server auth',
  'signing',
  'timestamping',
]
const LEAST_SECONDS = 600
const LEGACY_SIGNER = 'kubernetes.io/legacy-unknown'

const strategy: Strategy = {
  nameRule: pathSegment,
  generation: false,
  prepareForCreate(object, { user }) {
    const { request, signerName, usages, expirationSeconds } = asRequest(object).spec
    const { username, uid, groups, extra } = user
    object['spec'] = {
      request,
      signerName,
      ...(expirationSeconds !== undefined && { expirationSeconds }),
      ...(usages && { usages }),
      username,
      ...(uid && { uid }),
      groups: [...groups],
      ...(extra && { extra }),
    }
    object.status = {}
  },
  prepareForUpdate(next, current) {
    next['spec'] = current['spec']
  },
  prepareForStatusUpdate(next, current, context) {
    next['spec'] = current['spec']
    const [conditions, before] = [conditionsOf(next), conditionsOf(current)]
    for (const type of ['Approved', 'Denied']) keepConditions(type, conditions, before)
    stamp(next, current, context)
  },
  validate: (object) => validateRequest(asRequest(object)),
  validateStatusUpdate: (next, current) => [
    ...validateConditions(next),
    ...validateTransition(next, current, { approves: false }),
    ...validateNewCertificate(next, current),
  ],
}

export const certificateSigningRequestKind: Kind = {
  definitions: 'io.k8s.api.certificates.v1',
  group: 'certificates.k8s.io',
  kind: 'CertificateSigningRequest',
  plural: 'certificatesigningrequests',
  shortNames: ['csr'],
  namespaced: false,
  status: true,
  columns: certificateSigningRequestColumns,
  strategy,
  selectableFields: { 'spec.signerName': (object) => asRequest(object).spec.signerName },
}

/** An update through `approval` changes conditions, and nothing else. */
export function prepareApproval(next: KubeObject, current: KubeObject, context: StrategyContext): void {
  const conditions = asRequest(next).status?.conditions
  next['spec'] = current['spec']
  next.status = { ...(current.status as object), ...(conditions && { conditions }) }
  if (!conditions) delete (next.status as { conditions?: unknown }).conditions
  stamp(next, current, context)
}

export function validateApproval(next: KubeObject, current: KubeObject): FieldError[] {
  return [...validateConditions(next), ...validateTransition(next, current, { approves: true })]
}

function asRequest(object: KubeObject): SigningRequestObject {
  return object as SigningRequestObject
}

function conditionsOf(object: KubeObject): Condition[] {
  return asRequest(object).status?.conditions ?? []
}

/** Where as many are there as before they stay as they were; where not, validation says so. */
function keepConditions(type: string, conditions: Condition[], before: readonly Condition[]): void {
  const old = before.filter((condition) => condition.type === type)
  const places = conditions.flatMap((condition, index) => (condition.type === type ? [index] : []))
  if (old.length !== places.length) return
  old.forEach((condition, index) => {
    conditions[places[index] as number] = condition
  })
}

/** Conditions are private to the update, but for those that were kept, which have their times. */
function stamp(next: KubeObject, current: KubeObject, { now }: StrategyContext): void {
  const time = kubernetesTime(now)
  for (const condition of conditionsOf(next)) {
    if (condition.lastUpdateTime && condition.lastTransitionTime) continue
    const same = conditionsOf(current).find(
      ({ type, status }) => type === condition.type && status === condition.status,
    )
    condition.lastUpdateTime ??= time
    condition.lastTransitionTime ??= same?.lastTransitionTime ?? time
  }
}

function validateRequest({ spec }: SigningRequestObject): FieldError[] {
  const errors: FieldError[] = []
  const { request, usages = [], signerName, expirationSeconds } = spec
  try {
    // One that was left out is null.
    parseSigningRequest(request ? Buffer.from(request, 'base64').toString('latin1') : '')
  } catch (error) {
    errors.push(invalidValue('spec.request', request, (error as Error).message))
  }
  if (usages.length === 0) errors.push(required('spec.usages'))
  const seen = new Set<string>()
  usages.forEach((usage, index) => {
    if (!USAGES.includes(usage)) errors.push(notSupported(`spec.usages[${index}]`, usage, USAGES))
  })
  usages.forEach((usage, index) => {
    if (seen.has(usage)) errors.push(duplicate(`spec.usages[${index}]`, usage))
    seen.add(usage)
  })
  if (signerName === LEGACY_SIGNER)
    errors.push(
      invalidValue('spec.signerName', signerName, 'the legacy signerName is not allowed via this API version'),
    )
  else validateSignerName(signerName, errors)
  if (expirationSeconds !== undefined && expirationSeconds < LEAST_SECONDS) {
    const said = 'may not specify a duration less than 600 seconds (10 minutes)'
    errors.push(invalidValue('spec.expirationSeconds', expirationSeconds, said))
  }
  return errors
}

function validateSignerName(name: string, errors: FieldError[]): void {
  const path = 'spec.signerName'
  if (name === '') return void errors.push(required(path))
  const [domain = '', signer = '', ...more] = name.split('/')
  if (more.length > 0 || !name.includes('/')) {
    const said = "must be a fully qualified domain and path of the form 'example.com/signer-name'"
    return void errors.push(invalidValue(path, name, said))
  }
  const check = (part: string, rule: (label: string) => readonly string[]): void => {
    for (const label of part.split('.')) {
      const wrong = rule(label)
      for (const said of wrong)
        errors.push(invalidValue(path, part, `validating label ${JSON.stringify(label)}: ${said}`))
      if (wrong.length > 0) return
    }
  }
  check(domain, dns1123Label)
  if (!domain.includes('.')) {
    const said = 'should be a domain with at least two segments separated by dots'
    errors.push(invalidValue(path, domain, said))
  }
  check(signer, dns1123Subdomain)
}

function validateConditions(object: KubeObject): FieldError[] {
  const errors: FieldError[] = []
  const path = 'status.conditions'
  const seen = new Set<string>()
  conditionsOf(object).forEach(({ type, status }, index) => {
    if (!type) errors.push(required(`${path}[${index}].type`))
    const allowed = FINAL.includes(type) ? ['True'] : ['False', 'True', 'Unknown']
    if (!status) errors.push(required(`${path}[${index}].status`))
    else if (!allowed.includes(status)) errors.push(notSupported(`${path}[${index}].status`, status, allowed))
    const other = type === 'Approved' ? 'Denied' : type === 'Denied' ? 'Approved' : undefined
    if (other !== undefined && seen.has(other))
      errors.push(invalidValue(path, type, 'Approved and Denied conditions are mutually exclusive'))
    if (seen.has(type)) errors.push(duplicate(`${path}[${index}].type`, type))
    seen.add(type)
  })
  return errors
}

function validateTransition(next: KubeObject, current: KubeObject, { approves }: { approves: boolean }): FieldError[] {
  const errors: FieldError[] = []
  const of = (object: KubeObject, type: string): Condition[] =>
    conditionsOf(object).filter((each) => each.type === type)
  const refuse = (verb: string, type: string): void => {
    errors.push(forbidden('status.conditions', `updates may not ${verb} a condition of type ${JSON.stringify(type)}`))
  }
  for (const type of FINAL) if (of(next, type).length < of(current, type).length) refuse('remove', type)
  for (const type of approves ? [] : ['Approved', 'Denied']) {
    const [after, before] = [of(next, type), of(current, type)]
    if (after.length > before.length) refuse('add', type)
    else if (after.length === before.length && !deepEqual(after, before)) refuse('modify', type)
  }
  return errors
}

function validateNewCertificate(next: KubeObject, current: KubeObject): FieldError[] {
  const path = 'status.certificate'
  const [certificate, before] = [next, current].map((object) => asRequest(object).status?.certificate ?? '')
  if (certificate === before) return []
  if (before) return [forbidden(path, 'updates may not modify existing certificate content')]
  try {
    checkCertificates(Buffer.from(certificate ?? '', 'base64').toString('latin1'))
    return []
  } catch (error) {
    return [invalidValue(path, '<certificate data>', (error as Error).message)]
  }
}

/** Throws where it is not one PEM block after the other, each of a certificate. */
function checkCertificates(text: string): void {
  const blocks = [...text.matchAll(/-----BEGIN ([^-\n]+)-----\n([^-]*)-----END [^-\n]+-----/g)]
  if (blocks.length === 0) throw new Error('must contain at least one CERTIFICATE PEM block')
  for (const [block, type = '', content = ''] of blocks) {
    if (type !== 'CERTIFICATE')
      throw new Error(`only CERTIFICATE PEM blocks are allowed, found ${JSON.stringify(type)}`)
    if (content.includes(':')) throw new Error('no PEM block headers are permitted')
    if (!isCertificate(block)) throw new Error('found CERTIFICATE PEM block that is no certificate')
  }
}

function isCertificate(block: string): boolean {
  try {
    return new X509Certificate(block).raw.length > 0
  } catch {
    return false
  }
}
