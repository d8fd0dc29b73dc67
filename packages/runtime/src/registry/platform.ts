/** Which image of an index is for this machine. */
import { hostArchitecture } from '../native/native-programs.ts'

/** Every machine of an architecture has what these ask for; others, such as amd64's v3, only some have. */
const BASE_VARIANTS: Record<string, readonly string[]> = { amd64: ['', 'v1'], arm64: ['', 'v8'] }
const LONGEST_NAMED = 40
const MOST_NAMED = 10

/** @param platform as an index has it; absent where it does not say, which is then not known to be wrong */
export function isForThisMachine(platform: unknown): boolean {
  if (!saysPlatform(platform)) return true
  const here = hostArchitecture()
  const variants: readonly unknown[] = BASE_VARIANTS[here] ?? ['']
  const { os = 'linux', architecture = here, variant = '' } = platform
  return os === 'linux' && architecture === here && variants.includes(variant)
}

export function saysPlatform(platform: unknown): platform is Record<string, unknown> {
  return typeof platform === 'object' && platform !== null
}

/** What there is instead, for whoever looks for an image: `linux/arm64, linux/arm/v7`. Bounded, whatever is in it. */
export function namePlatforms(platforms: readonly unknown[]): string {
  const names = new Set(platforms.filter(saysPlatform).map(nameOf).filter(isKnown))
  const shown = [...names].sort().slice(0, MOST_NAMED)
  return `${shown.join(', ')}${names.size > shown.length ? ' …' : ''}`
}

function nameOf({ os, architecture, variant }: Record<string, unknown>): string {
  const parts = [os, architecture, ...(variant ? [variant] : [])]
  return parts
    .map((part) => String(part).replaceAll(/[^\w.-]/g, '?'))
    .join('/')
    .slice(0, LONGEST_NAMED)
}

/** What lies beside images and is none, such as an attestation, has this in place of a platform. */
function isKnown(name: string): boolean {
  return name !== 'unknown/unknown'
}
