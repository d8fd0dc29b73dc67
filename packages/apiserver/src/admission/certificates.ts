/** What is asked of writes of CertificateSigningRequests beyond the right to write them: a say over their signer. */
import type { UserInfo } from '@caisson/api'
import { parseSigningRequest } from '../authn/signing-request.ts'
import { type Authorizer, SUPERUSERS } from '../authz/authorizer.ts'
import type { SigningRequestObject } from '../registry/builtin/certificate-signing-request.ts'
import { deepEqual } from '../registry/builtin/deep-equal.ts'
import type { AdmissionRequest } from '../verbs/call.ts'
import { refuse } from './refuse.ts'

const CLIENT_SIGNER = 'kubernetes.io/kube-apiserver-client'

/** CertificateApproval, CertificateSigning and CertificateSubjectRestriction. Throws Forbidden. */
export function admitCertificates(request: AdmissionRequest, authorizer: Pick<Authorizer, 'authorize'>): void {
  const { operation, subresource, user } = request
  const [object, before] = [request.object, request.oldObject] as (SigningRequestObject | undefined)[]
  if (operation === 'CREATE' && object) return refuseSuperusers(request, object)
  if (operation !== 'UPDATE' || !object || !before) return
  const signs =
    !deepEqual(object.status?.certificate, before.status?.certificate) ||
    !deepEqual(object.status?.conditions, before.status?.conditions)
  const verb = subresource === 'approval' ? 'approve' : subresource === 'status' && signs ? 'sign' : undefined
  const { signerName } = before.spec
  if (verb === undefined || mayDecide(user, { verb, signerName }, authorizer)) return
  throw refuse(request, `user not permitted to ${verb} requests with signerName ${JSON.stringify(signerName)}`)
}

function refuseSuperusers(request: AdmissionRequest, { spec }: SigningRequestObject): void {
  if (spec.signerName !== CLIENT_SIGNER) return
  const { organizations } = parseSigningRequest(Buffer.from(spec.request, 'base64').toString('latin1'))
  if (organizations.includes(SUPERUSERS))
    throw refuse(request, `use of ${CLIENT_SIGNER} signer with ${SUPERUSERS} group is not allowed`)
}

/** Over the signer, or over all of its domain. */
function mayDecide(
  user: UserInfo,
  { verb, signerName }: { verb: string; signerName: string },
  { authorize }: Pick<Authorizer, 'authorize'>,
): boolean {
  const ofDomain = `${signerName.split('/')[0]}/*`
  return [signerName, ofDomain].some(
    (name) => authorize({ user, verb, group: 'certificates.k8s.io', resource: 'signers', name }).allowed,
  )
}
