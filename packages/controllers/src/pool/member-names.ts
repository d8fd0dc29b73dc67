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
  /** Takes note of names that are taken now: they are not given out again, whatever becomes of the objects. */
  settle(pool: SandboxWarmPool): void
  forget(uid: string): void
}

interface Series {
  /** How many names have been made. */
  made: number
  /** Given out, and not seen yet. */
  pending: string[]
}

/**
 * @param random what tells the names of this process from those of others
 * @param taken whether a Sandbox of that namespace has the name
 */
export function createMemberNames(random: string, taken: (namespace: string, name: string) => boolean): MemberNames {
  const series = new Map<string, Series>()

  function settle({ metadata: { namespace = '', uid = '' } }: SandboxWarmPool): Series {
    const known = series.get(uid) ?? { made: 0, pending: [] }
    if (known.pending.length > 0) known.pending = known.pending.filter((name) => !taken(namespace, name))
    series.set(uid, known)
    return known
  }

  return {
    settle: (pool) => void settle(pool),
    next(pool, count) {
      const { name = '', namespace = '', uid = '' } = pool.metadata
      const known = settle(pool)
      while (known.pending.length < count) {
        const candidate = `${generatedPrefix(name)}${suffix(`${random}/${uid}/${known.made++}`)}`
        if (!taken(namespace, candidate) && !known.pending.includes(candidate)) known.pending.push(candidate)
      }
      return known.pending.slice(0, count)
    },
    forget: (uid) => void series.delete(uid),
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
