/** Nothing is made in a namespace that is not there or is going away, and some namespaces never go away. */

import { forbiddenObject } from '../authz/attributes.ts'
import { StatusError } from '../status-error.ts'
import type { Store } from '../storage/store.ts'
import type { AdmissionRequest } from '../verbs/call.ts'
import { notFound } from '../verbs/errors.ts'
import { refuse } from './refuse.ts'

const IMMORTAL: readonly string[] = ['default', 'kube-system', 'kube-public']
const NAMESPACES = { group: '', plural: 'namespaces' }

export function admitNamespaceLifecycle(request: AdmissionRequest, store: Pick<Store, 'get'>): void {
  const { operation, resource, namespace, name } = request
  if (resource.group === '' && resource.plural === 'namespaces') {
    if (operation === 'DELETE' && IMMORTAL.includes(name)) {
      throw forbiddenObject({ group: '', resource: 'namespaces', name }, 'this namespace may not be deleted')
    }
    return
  }
  if (namespace === '' || (operation !== 'CREATE' && operation !== 'UPDATE')) return
  // An answer that depends on the namespace would tell whether it exists.
  if (resource.group === 'authorization.k8s.io' && resource.plural === 'localsubjectaccessreviews') return
  const found = store.get('namespaces', undefined, namespace)
  if (!found) throw notFound(NAMESPACES, namespace)
  const { phase } = (found.status as { phase?: string } | undefined) ?? {}
  if (operation === 'UPDATE' || (phase !== 'Terminating' && found.metadata.deletionTimestamp === undefined)) return
  const error = refuse(request, `unable to create new content in namespace ${namespace} because it is being terminated`)
  const cause = {
    reason: 'NamespaceTerminating',
    message: `namespace ${namespace} is being terminated`,
    field: 'metadata.namespace',
  }
  throw new StatusError('Forbidden', error.message, { details: { ...error.details, causes: [cause] } })
}
