import type { Request, Step } from './script.ts'

const PATH = '/api/v1/namespaces/two'

/**
 * ResourceQuotas and LimitRanges, valid and not. Only tried out: they would bear upon the rest of the script, and where
 * the quota controller runs (beside kube-apiserver it does not) differently.
 */
export function quotas(add: (label: string, request: Step['request']) => void): void {
  const tryOut = (plural: string, kind: string, spec: object): Request => ({
    method: 'POST',
    path: `${PATH}/${plural}`,
    query: { dryRun: 'All' },
    body: { apiVersion: 'v1', kind, metadata: { name: 'tried' }, spec },
  })
  const ranges: Record<string, object[]> = {
    'all fields': [
      { type: 'Container', max: { cpu: '2', memory: '1Gi' }, min: { cpu: '50m' }, maxLimitRequestRatio: { cpu: '4' } },
      { type: 'Pod', max: { cpu: '3' } },
      { type: 'PersistentVolumeClaim', min: { storage: '1Gi' } },
    ],
    'defaults of a Pod': [{ type: 'Pod', default: { cpu: '1' } }],
    'a type twice': [{ type: 'Pod' }, { type: 'Pod' }],
    'an unknown type': [{ type: 'Nope' }],
    'an unknown resource': [{ type: 'Container', max: { foo: '2' } }],
    'a claim without storage': [{ type: 'PersistentVolumeClaim', max: { cpu: '1' } }],
    'a low ratio': [{ type: 'Container', maxLimitRequestRatio: { cpu: '0.5' } }],
    'a ratio that cannot be': [
      { type: 'Container', max: { memory: '2Gi' }, min: { memory: '1Gi' }, maxLimitRequestRatio: { memory: '3' } },
    ],
    'min above max': [{ type: 'Container', max: { cpu: '1' }, min: { cpu: '2' } }],
    'default above max': [{ type: 'Container', max: { cpu: '1' }, default: { cpu: '2' } }],
  }
  for (const [name, limits] of Object.entries(ranges)) {
    add(`limit range: ${name}`, tryOut('limitranges', 'LimitRange', { limits }))
  }
  const specs: Record<string, object> = {
    'many resources': {
      hard: { pods: '3', 'requests.cpu': '1', 'count/widgets.example.com': '4', 'services.nodeports': 1 },
    },
    'an unknown resource': { hard: { foo: '1' } },
    'less than nothing': { hard: { cpu: '-1' } },
    'half a Pod': { hard: { pods: '1.5' } },
    storage: { hard: { storage: '1' } },
    'huge pages': { hard: { 'requests.hugepages-2Mi': '4Mi' } },
    'scopes that exclude each other': { hard: { pods: '1' }, scopes: ['BestEffort', 'NotBestEffort'] },
    'an unknown scope': { hard: { pods: '1' }, scopes: ['What'] },
    'a scope that does not apply': { hard: { services: '1' }, scopes: ['Terminating'] },
    'a selector': {
      hard: { pods: '1' },
      scopeSelector: { matchExpressions: [{ scopeName: 'PriorityClass', operator: 'In', values: ['a'] }] },
    },
    'a selector without values': {
      hard: { pods: '1' },
      scopeSelector: { matchExpressions: [{ scopeName: 'PriorityClass', operator: 'In' }] },
    },
    'a selector of another operator': {
      hard: { pods: '1' },
      scopeSelector: { matchExpressions: [{ scopeName: 'Terminating', operator: 'DoesNotExist' }] },
    },
  }
  for (const [name, spec] of Object.entries(specs)) {
    add(`quota: ${name}`, tryOut('resourcequotas', 'ResourceQuota', spec))
  }
}
