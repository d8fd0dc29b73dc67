/** Names of members: known before they are made, so that an answer that was lost cannot leave one too many. */
import { nameHash, type SandboxWarmPool } from '@caisson/api'

/** Kubernetes' own alphabet for the ends of generated names: no vowels, so no words. */
const ALPHABET = 'bcdfghjklmnpqrstvwxz2456789'
const SUFFIX_LENGTH = 5
/** Kubernetes cuts the prefix of a generated name here. */
const PREFIX_LENGTH = 58

export interface MemberNames {
  /** The next `count` names for members of the pool. The same ones until objects with them have been seen. */
  next(pool: SandboxWarmPool, count: number): string[]
  forget(uid: string): void
}

/**
 * @param random what tells the names of this process from those of others
 * @param taken whether a Sandbox of that namespace has the name
 */
export function createMemberNames(random: string, taken: (namespace: string, name: string) => boolean): MemberNames {
  /** How far each pool's names are used up. */
  const used = new Map<string, number>()
  return {
    next({ metadata: { name = '', namespace = '', uid = '' } }, count) {
      const found: string[] = []
      let first: number | undefined
      for (let serial = used.get(uid) ?? 0; found.length < count; serial++) {
        const candidate = `${generatedPrefix(name)}${suffix(`${random}/${uid}/${serial}`)}`
        if (taken(namespace, candidate) || found.includes(candidate)) continue
        first ??= serial
        found.push(candidate)
      }
      if (first !== undefined) used.set(uid, first)
      return found
    },
    forget: (uid) => void used.delete(uid),
  }
}

/** What a server puts before the random end of a name that is generated for this pool. */
export function generatedPrefix(pool: string): string {
  return `${pool}-`.slice(0, PREFIX_LENGTH)
}

function suffix(text: string): string {
  let rest = Number.parseInt(nameHash(text), 16)
  let end = ''
  while (end.length < SUFFIX_LENGTH) {
    end += ALPHABET[rest % ALPHABET.length]
    rest = Math.floor(rest / ALPHABET.length)
  }
  return end
}
