/** The Pod Security labels of a namespace. */
import { invalidValue } from '../../registry/field-error.ts'
import type { FieldError } from '../../status-error.ts'

const LEVELS = ['privileged', 'baseline', 'restricted'] as const
export type Level = (typeof LEVELS)[number]

/** The newest version whose checks are known; what `latest` means. */
export const LATEST = 34

export interface LevelVersion {
  level: Level
  /** Minor version, or `latest`. */
  version: number | 'latest'
}

/** What happens to a Pod that does not meet a level: it is refused, noted in the audit log, or its writer is warned. */
export interface Policy {
  enforce: LevelVersion
  audit: LevelVersion
  warn: LevelVersion
}

const PREFIX = 'pod-security.kubernetes.io/'

export function everywhere(level: Level): Policy {
  const each: LevelVersion = { level, version: 'latest' }
  return { enforce: each, audit: each, warn: each }
}

/**
 * The policy of a namespace with these labels. Labels that cannot be read count as the strictest for `enforce`, and as
 * no level for the others; `errors` says which they are.
 *
 * @param unlabelled what holds where no level is enforced by a label
 */
export function policyOf(
  labels: Readonly<Record<string, string>>,
  unlabelled: Policy,
): { policy: Policy; errors: FieldError[] } {
  const errors: FieldError[] = []
  const label = (name: string): string | undefined => {
    const key = PREFIX + name
    return Object.hasOwn(labels, key) ? labels[key] : undefined
  }
  const complain = (name: string, value: string, why: string): void => {
    errors.push(invalidValue(`metadata.labels[${PREFIX}${name}]`, value, why))
  }
  const read = (mode: keyof Policy, base: LevelVersion, otherwise: Level): LevelVersion => {
    const [level, version] = [label(mode), label(`${mode}-version`)]
    let found = base
    if (level !== undefined) {
      const known = isLevel(level)
      if (!known) complain(mode, level, `must be one of ${LEVELS.join(', ')}`)
      found = { ...found, level: known ? level : otherwise }
    }
    if (version !== undefined) {
      const parsed = parseVersion(version)
      if (parsed === undefined) complain(`${mode}-version`, version, 'must be "latest" or "v1.x"')
      found = { ...found, version: parsed ?? 'latest' }
    }
    return found
  }
  // A namespace that says what it enforces is taken at its word: nothing else is assumed about it.
  const base = label('enforce') === undefined ? unlabelled : everywhere('privileged')
  const enforce = read('enforce', base.enforce, 'restricted')
  const audit = read('audit', base.audit, 'privileged')
  let warn = read('warn', base.warn, 'privileged')
  const enforced = label('enforce')
  if (label('warn') === undefined && enforced !== undefined && isLevel(enforced) && stricter(enforced, warn.level)) {
    warn = { level: enforced, version: label('warn-version') === undefined ? enforce.version : warn.version }
  }
  return { policy: { enforce, audit, warn }, errors }
}

export function stricter(a: Level, b: Level): boolean {
  return LEVELS.indexOf(a) > LEVELS.indexOf(b)
}

/** `baseline:latest` or `restricted:v1.30`. */
export function describeLevel({ level, version }: LevelVersion): string {
  return `${level}:${version === 'latest' ? version : `v1.${version}`}`
}

function isLevel(text: string): text is Level {
  return LEVELS.some((level) => level === text)
}

function parseVersion(text: string): number | 'latest' | undefined {
  if (text === 'latest') return text
  const [, minor] = /^v1\.(0|[1-9][0-9]{0,8})$/.exec(text) ?? []
  return minor === undefined ? undefined : Number(minor)
}
