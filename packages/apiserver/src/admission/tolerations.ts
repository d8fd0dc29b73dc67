/** What Pods tolerate beyond what they say. */
import type { Toleration } from 'kubernetes-types/core/v1.js'
import { canonicalJson } from '../schema/canonical-json.ts'
import { list, type PodSpec } from './pod-shape.ts'

const GRACE_SECONDS = 300
const NODE_TROUBLES = ['node.kubernetes.io/not-ready', 'node.kubernetes.io/unreachable'] as const

/** A Pod stays for five minutes on a node in trouble, unless it says otherwise. */
export function addDefaultTolerations(spec: PodSpec): void {
  const given = list(spec.tolerations)
  const added = NODE_TROUBLES.filter(
    (trouble) =>
      !given.some(
        ({ key = '', effect = '' }) => (key === trouble || key === '') && (effect === 'NoExecute' || effect === ''),
      ),
  ).map((key): Toleration => ({ key, operator: 'Exists', effect: 'NoExecute', tolerationSeconds: GRACE_SECONDS }))
  if (added.length > 0) spec.tolerations = [...given, ...added]
}

/** Both lists as one, without those that another one includes: of equal ones the first stays. */
export function mergeTolerations(first: readonly Toleration[], second: readonly Toleration[]): Toleration[] {
  const all = [...first, ...second]
  const later = createTolerated()
  const needed = all.toReversed().filter((toleration) => {
    const included = later.includes(toleration, canonicalJson(toleration))
    later.add(toleration)
    return !included
  })
  const merged = createTolerated()
  const forms = new Set<string>()
  return needed.reverse().filter((toleration) => {
    const form = canonicalJson(toleration)
    if (forms.has(form) || merged.includes(toleration)) return false
    forms.add(form)
    merged.add(toleration)
    return true
  })
}

interface Tolerated {
  add(toleration: Toleration): void
  /**
   * Whether one of them tolerates all that `narrow` does.
   *
   * @param but the form of those that do not count
   */
  includes(narrow: Toleration, but?: string): boolean
}

/** For how long what is in one place is tolerated, seconds. */
interface Reach {
  form: string
  seconds: number
}

/** Finds without looking through them: a Pod may bring ten thousand, each of which would be compared with each. */
function createTolerated(): Tolerated {
  /** The two forms that reach furthest in each place: if one does not count, the other does. */
  const places = new Map<string, Reach[]>()

  return {
    add(toleration) {
      const { key = '', operator = 'Equal', value = '', effect = '' } = toleration
      if (operator !== 'Exists' && operator !== 'Equal') return
      const place = placeOf(key, operator === 'Exists' ? undefined : value, effect)
      const form = canonicalJson(toleration)
      const others = (places.get(place) ?? []).filter((each) => each.form !== form)
      const reaches = [...others, { form, seconds: secondsOf(toleration) }].sort((a, b) => b.seconds - a.seconds)
      places.set(place, reaches.slice(0, 2))
    },
    includes({ key = '', operator, value, effect = '', tolerationSeconds }, but) {
      const wanted = tolerationSeconds ?? Number.POSITIVE_INFINITY
      return ['', effect].some((each) =>
        [
          placeOf('', undefined, each),
          placeOf(key, undefined, each),
          ...(operator === 'Equal' ? [placeOf(key, value ?? '', each)] : []),
        ].some((place) => places.get(place)?.some(({ form, seconds }) => form !== but && wanted <= seconds)),
      )
    },
  }
}

/** @param value undefined for any */
function placeOf(key: string, value: string | undefined, effect: string): string {
  return JSON.stringify([key, value ?? null, effect])
}

function secondsOf({ effect, tolerationSeconds }: Toleration): number {
  return effect === 'NoExecute' ? (tolerationSeconds ?? Number.POSITIVE_INFINITY) : Number.POSITIVE_INFINITY
}
