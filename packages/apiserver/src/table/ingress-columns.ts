/** How `kubectl get` shows Ingresses and their classes. */
import type { KubeObject } from '@caisson/api'
import type { Column } from '../registry/resource.ts'
import { AGE, column, list, loose, NAME, text } from './builtin-columns.ts'

const SHOWN_HOSTS = 3
const NARROW_ADDRESS = 16

export const ingressColumns: readonly Column[] = [
  NAME,
  column('Class', (ingress) => text(loose(ingress)['spec']?.['ingressClassName'], '<none>')),
  column('Hosts', hosts),
  column('Address', addresses),
  column('Ports', (ingress) => (list(loose(ingress)['spec']?.['tls']).length > 0 ? '80, 443' : '80')),
  AGE,
]

export const ingressClassColumns: readonly Column[] = [
  NAME,
  column('Controller', (kind) => text(loose(kind)['spec']?.['controller'])),
  column('Parameters', (kind) => {
    const parameters = loose(kind)['spec']?.['parameters'] as Record<string, unknown> | undefined
    if (!parameters) return '<none>'
    const { apiGroup, kind: of, name } = parameters
    return `${text(of)}${apiGroup === undefined ? '' : `.${text(apiGroup)}`}/${text(name)}`
  }),
  AGE,
]

function hosts(ingress: KubeObject): string {
  const rules = list(loose(ingress)['spec']?.['rules'])
  const shown: string[] = []
  let more = false
  for (const { host } of rules) {
    more ||= shown.length === SHOWN_HOSTS
    if (!more && host) shown.push(text(host))
  }
  if (shown.length === 0) return '*'
  return more ? `${shown.join(',')} + ${rules.length - SHOWN_HOSTS} more...` : shown.join(',')
}

function addresses(ingress: KubeObject): string {
  const points = list(loose(ingress)['status']?.['loadBalancer']?.['ingress'])
  const all = [...new Set(points.map(({ ip, hostname }) => text(ip) || text(hostname)))].filter(Boolean).sort()
  const said = all.join(',')
  return said.length > NARROW_ADDRESS ? `${said.slice(0, NARROW_ADDRESS - 3)}...` : said
}
