/** Admission of what is created below an object and stored nowhere by itself: a Binding, an Eviction, a TokenRequest. */
import type { KubeObject } from '@caisson/api'
import type { Resource } from '../../registry/resource.ts'
import type { Transaction } from '../../storage/store.ts'
import type { AdmissionRequest, Call } from '../call.ts'
import type { Environment } from '../environment.ts'
import { toldOptions } from '../options.ts'

interface Created {
  call: Call
  resource: Resource
  environment: Environment
  /** May be changed in place. */
  object: KubeObject
  name: string
  dryRun: boolean
}

/** Throws a StatusError where it is refused. To be called within a write, since webhooks are waited for there. */
export function admitCreated(
  transaction: Transaction,
  { call, resource, environment, object, name, dryRun }: Created,
): void {
  const [group = '', version = ''] = object.apiVersion.includes('/')
    ? object.apiVersion.split('/')
    : ['', object.apiVersion]
  const request: AdmissionRequest = {
    operation: 'CREATE',
    resource,
    kind: { group, version, kind: object.kind },
    subresource: call.info.subresource,
    namespace: call.info.namespace,
    name,
    object,
    oldObject: undefined,
    user: call.user,
    dryRun,
    options: toldOptions('CreateOptions', call.query),
    transaction,
    warn: (message) => call.warnings.push(message),
  }
  environment.admit(request)
  environment.admitValidated(request)
}
