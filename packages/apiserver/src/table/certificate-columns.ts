/** How `kubectl get` shows requests for certificates. */
import type { Column } from '../registry/resource.ts'
import { AGE, column, list, loose, NAME, text } from './builtin-columns.ts'
import { humanDuration } from './duration.ts'

export const certificateSigningRequestColumns: readonly Column[] = [
  NAME,
  AGE,
  column('SignerName', (request) => text(loose(request)['spec']?.['signerName'], '<none>')),
  column('Requestor', (request) => text(loose(request)['spec']?.['username'])),
  column('RequestedDuration', (request) => {
    const seconds = loose(request)['spec']?.['expirationSeconds'] as number | undefined
    return seconds === undefined ? '<none>' : humanDuration(seconds * 1000)
  }),
  column('Condition', (request) => {
    const status = loose(request)['status']
    const types = new Set(list(status?.['conditions']).map(({ type }) => text(type)))
    const state = types.has('Denied') ? 'Denied' : types.has('Approved') ? 'Approved' : 'Pending'
    return `${state}${types.has('Failed') ? ',Failed' : ''}${text(status?.['certificate']) ? ',Issued' : ''}`
  }),
]
