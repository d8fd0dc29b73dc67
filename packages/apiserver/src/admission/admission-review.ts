/** What is told of a request to those who judge it from outside: `admission.k8s.io/v1` AdmissionRequest. */
import type { Resource } from '../registry/resource.ts'
import type { AdmissionRequest } from '../verbs/call.ts'
import { inVersion } from '../verbs/versions.ts'

/** @param shown the kind as which the request is meant: another version than the one that was asked for, perhaps */
export function admissionAttributes(request: AdmissionRequest, shown: Resource): Record<string, unknown> {
  const { resource, subresource, namespace, user, operation, dryRun } = request
  return {
    kind: request.kind ?? kindOf(shown),
    resource: resourceOf(shown),
    ...(subresource && { subResource: subresource }),
    requestKind: request.kind ?? kindOf(resource),
    requestResource: resourceOf(resource),
    ...(subresource && { requestSubResource: subresource }),
    ...(request.name && { name: request.name }),
    ...(namespace && { namespace }),
    operation,
    userInfo: {
      username: user.username,
      ...(user.uid && { uid: user.uid }),
      groups: user.groups,
      ...(user.extra && { extra: user.extra }),
    },
    object: request.object ? inVersion(shown, resource, request.object) : null,
    oldObject: request.oldObject ? inVersion(shown, resource, request.oldObject) : null,
    dryRun,
    options: request.options ?? null,
  }
}

function kindOf({ group, version, kind }: Resource): object {
  return { group, version, kind }
}

function resourceOf({ group, version, plural }: Resource): object {
  return { group, version, resource: plural }
}
