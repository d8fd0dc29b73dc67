import { forbiddenObject } from '../authz/attributes.ts'
import type { StatusError } from '../status-error.ts'
import type { AdmissionRequest } from '../verbs/call.ts'

/** The 403 by which an admission plug-in refuses a request: `pods "x" is forbidden: …`. */
export function refuse(request: AdmissionRequest, why: string): StatusError {
  const { resource, object } = request
  // Names are generated after admission.
  const name = request.name || object?.metadata.name || object?.metadata.generateName || 'Unknown'
  return forbiddenObject({ group: resource.group, resource: resource.plural, name }, why)
}
