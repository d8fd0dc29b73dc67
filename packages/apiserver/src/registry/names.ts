/**
 * What Kubernetes accepts as names, keys and values: each function returns what is wrong, in apimachinery's words, and an
 * empty list where nothing is. Patterns are anchored and unambiguous, so matching takes linear time.
 */

import {
  dns1123Label,
  dns1123Subdomain,
  labelValueErrors,
  type NameErrors,
  patternError,
  qualifiedName,
  tooLongFor,
} from '@caisson/api'

export { dns1123Label, dns1123Subdomain, labelValueErrors, type NameErrors, qualifiedName }

const NONE: NameErrors = []

const LABEL = '[a-z0-9]([-a-z0-9]*[a-z0-9])?'
const SUBDOMAIN = `${LABEL}(\\.${LABEL})*`
const LABEL_1035 = '[a-z]([-a-z0-9]*[a-z0-9])?'
const CONFIG_KEY = '[-._a-zA-Z0-9]+'
const LABEL_UNDERSCORE = '_?[a-z0-9]([-_a-z0-9]*[a-z0-9])?'
const SUBDOMAIN_UNDERSCORE = `${LABEL_UNDERSCORE}(\\.${LABEL_UNDERSCORE})*`

const WILDCARD = `\\*\\.${SUBDOMAIN}`
const HTTP_PATH = "[A-Za-z0-9/\\-._~%!$&'()*+,;=:]+"

const wildcard = new RegExp(`^${WILDCARD}$`)
const path = new RegExp(`^${HTTP_PATH}$`)
const label1035 = new RegExp(`^${LABEL_1035}$`)
const configKey = new RegExp(`^${CONFIG_KEY}$`)
const subdomainUnderscore = new RegExp(`^${SUBDOMAIN_UNDERSCORE}$`)

/** Says why a name is bad; `prefix` where it is a `generateName`, to which something will be appended. */
export type NameRule = (name: string, prefix: boolean) => NameErrors

export function wildcardSubdomain(value: string): NameErrors {
  const errors = tooLongFor(value, 253)
  if (!wildcard.test(value)) {
    errors.push(
      patternError(
        "a wildcard DNS-1123 subdomain must start with '*.', followed by a valid DNS subdomain, which must consist of lower case alphanumeric characters, '-' or '.' and end with an alphanumeric character",
        WILDCARD,
        '*.example.com',
      ),
    )
  }
  return errors
}

/** What comes behind the domain of a name such as `example.com/controller`. */
export function httpPath(value: string): NameErrors {
  return path.test(value) ? NONE : [patternError('Invalid path', HTTP_PATH)]
}

export function dns1123SubdomainWithUnderscore(value: string): NameErrors {
  const errors = tooLongFor(value, 253)
  if (!subdomainUnderscore.test(value)) {
    errors.push(
      patternError(
        "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '_', '-' or '.', and must start and end with an alphanumeric character",
        SUBDOMAIN_UNDERSCORE,
        'example.com',
      ),
    )
  }
  return errors
}

export function dns1035Label(value: string): NameErrors {
  const errors = tooLongFor(value, 63)
  if (!label1035.test(value)) {
    errors.push(
      patternError(
        "a DNS-1035 label must consist of lower case alphanumeric characters or '-', start with an alphabetic character, and end with an alphanumeric character",
        LABEL_1035,
        'my-name',
        'abc-123',
      ),
    )
  }
  return errors
}

/** Keys of ConfigMaps and Secrets, which become file names. */
export function configMapKey(value: string): NameErrors {
  // Of which an object may have tens of thousands.
  if (value.length <= 253 && !value.startsWith('.') && configKey.test(value)) return NONE
  const errors = tooLongFor(value, 253)
  if (!configKey.test(value)) {
    errors.push(
      patternError(
        "a valid config key must consist of alphanumeric characters, '-', '_' or '.'",
        CONFIG_KEY,
        'key.name',
        'KEY_NAME',
        'key-name',
      ),
    )
  }
  if (value === '.') errors.push("must not be '.'")
  else if (value === '..') errors.push("must not be '..'")
  else if (value.startsWith('..')) errors.push("must not start with '..'")
  return errors
}

export function environmentName(value: string): NameErrors {
  const errors: string[] = []
  if (value === '') errors.push('environment variable name must be non-empty')
  if (!/^[ -<>-~]*$/.test(value)) {
    errors.push("a valid environment variable name must consist only of printable ASCII characters other than '='")
  }
  return errors
}

export function portName(value: string): NameErrors {
  const errors = tooLongFor(value, 15)
  if (!/^[-a-z0-9]+$/.test(value)) {
    errors.push('must contain only alpha-numeric characters (a-z, 0-9), and hyphens (-)')
  }
  if (!/[a-z]/.test(value)) errors.push('must contain at least one letter (a-z)')
  if (value.includes('--')) errors.push('must not contain consecutive hyphens')
  if (value.startsWith('-') || value.endsWith('-')) errors.push('must not begin or end with a hyphen')
  return errors
}

export function portNumber(value: number): NameErrors {
  return inRange(value, 1, 65535)
}

export function inRange(value: number, low: number, high: number): NameErrors {
  return value >= low && value <= high ? NONE : [`must be between ${low} and ${high}, inclusive`]
}

/** Unix user and group ids. */
export function unixId(value: number): NameErrors {
  return inRange(value, 0, 2147483647)
}

export function httpHeaderName(value: string): NameErrors {
  if (/^[-A-Za-z0-9]+$/.test(value)) return NONE
  return [
    patternError(
      "a valid HTTP header must consist of alphanumeric characters or '-'",
      '[-A-Za-z0-9]+',
      'X-Header-Name',
    ),
  ]
}

/** A file name or a name in a URL: RBAC objects have no other rule. */
export function pathSegment(value: string): NameErrors {
  if (value === '.' || value === '..') return [`may not be '${value}'`]
  return ['/', '%'].filter((part) => value.includes(part)).map((part) => `may not contain '${part}'`)
}

export const nameIsSubdomain: NameRule = (name, prefix) => dns1123Subdomain(prefix ? maskTrailingDash(name) : name)
export const nameIsLabel: NameRule = (name, prefix) => dns1123Label(prefix ? maskTrailingDash(name) : name)
export const nameIsLabel1035: NameRule = (name, prefix) => dns1035Label(prefix ? maskTrailingDash(name) : name)
export const nameIsPathSegment: NameRule = (name, prefix) =>
  prefix ? pathSegment(name).filter((error) => error.startsWith('may not contain')) : pathSegment(name)

/** A generateName may end in a dash, since characters follow it. */
function maskTrailingDash(name: string): string {
  return name.length > 1 && name.endsWith('-') ? `${name.slice(0, -2)}a` : name
}
