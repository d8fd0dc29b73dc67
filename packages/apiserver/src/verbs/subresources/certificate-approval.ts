/** `certificatesigningrequests/approval`: who may approve or deny need not be who signs. */
import { prepareApproval, validateApproval } from '../../registry/builtin/certificate-signing-request.ts'
import type { Subresource } from '../environment.ts'
import { get } from '../get.ts'
import { patch } from '../patch.ts'
import { update } from '../update.ts'
import type { UpdateRules } from '../update-rules.ts'

const RULES: UpdateRules = {
  prepare: prepareApproval,
  validate: validateApproval,
  warnings: () => [],
  raisesGeneration: false,
  validatesAll: false,
}

export const CERTIFICATE_APPROVAL: Subresource = {
  name: 'approval',
  kind: 'CertificateSigningRequest',
  verbs: ['get', 'patch', 'update'],
  handle(call, resource, environment) {
    if (call.info.verb === 'get') return get(call, resource, environment)
    const write = call.info.verb === 'update' ? update : patch
    return write(call, resource, environment, RULES)
  },
}
