/** Where a load balancer answers, as the status of a Service or of an Ingress says. */
import type { KubeObject } from '@caisson/api'
import type { FieldError } from '../../status-error.ts'
import { forbidden, invalidValue, notSupported, required } from '../field-error.ts'
import { ipFamily, ipWarnings, validateIp } from '../ip-address.ts'
import { dns1123Subdomain } from '../names.ts'

interface Point {
  ip?: string
  hostname?: string
  /** Of Services alone. */
  ipMode?: string
}

const PATH = 'status.loadBalancer.ingress'
const IP_MODES = ['Proxy', 'VIP']

interface Balanced {
  status?: { loadBalancer?: { ingress?: Point[] } }
}

export function pointsOf(object: object): Point[] {
  return (object as Balanced).status?.loadBalancer?.ingress ?? []
}

/** An address that was there before may stay, whatever it is. */
export function validatePoints(next: KubeObject, current: KubeObject, { modes }: { modes: boolean }): FieldError[] {
  const errors: FieldError[] = []
  const known = new Set(pointsOf(current).map(({ ip }) => ip))
  pointsOf(next).forEach(({ ip = '', ipMode, hostname = '' }, index) => {
    const at = `${PATH}[${index}]`
    if (ip && !known.has(ip)) validateIp(ip, `${at}.ip`, errors)
    if (modes) validateMode(ip, ipMode, `${at}.ipMode`, errors)
    if (!hostname) return
    for (const said of dns1123Subdomain(hostname)) errors.push(invalidValue(`${at}.hostname`, hostname, said))
    refuseAddress(hostname, `${at}.hostname`, errors)
  })
  return errors
}

function validateMode(ip: string, mode: string | undefined, path: string, errors: FieldError[]): void {
  if (mode === undefined) {
    if (ip) errors.push(required(path, 'must be specified when `ip` is set'))
  } else if (!ip) errors.push(forbidden(path, 'may not be specified when `ip` is not set'))
  else if (!IP_MODES.includes(mode)) errors.push(notSupported(path, mode, IP_MODES))
}

export function refuseAddress(host: string, path: string, errors: FieldError[]): void {
  if (ipFamily(host) === undefined) return
  errors.push(invalidValue(path, host, 'must be a DNS name, not an IP address'))
}

export function pointWarnings(object: KubeObject): string[] {
  return pointsOf(object).flatMap(({ ip = '' }, index) => ipWarnings(ip, `${PATH}[${index}]`))
}
