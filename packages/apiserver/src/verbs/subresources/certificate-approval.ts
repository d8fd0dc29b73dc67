/** `certificatesigningrequests/approval`: who may approve or deny need not be who signs. */
import { prepareApproval, validateApproval } from '../../registry/builtin/certificate-signing-request.ts'
import type { UpdateRules } from '../update-rules.ts'
import { updateDoor } from './update-door.ts'

const RULES: UpdateRules = {
  prepare: prepareApproval,
  validate: validateApproval,
  warnings: () => [],
  raisesGeneration: false,
  validatesAll: false,
}

export const CERTIFICATE_APPROVAL = updateDoor('approval', 'CertificateSigningRequest', () => RULES)
