/**
 * The same function, which remembers of each frozen object what it said last of it: claims may be as large as objects can
 * be, and are judged whenever anything changes that they name.
 *
 * @param judge depends on its arguments alone, and the second one is frozen or compared as a whole
 */
export function rememberLast<A extends object, B, R>(
  judge: (subject: A, beside: B) => R,
): (subject: A, beside: B) => R {
  const known = new WeakMap<A, { beside: B; said: R }>()
  return (subject, beside) => {
    const last = known.get(subject)
    if (last && last.beside === beside) return last.said
    const said = judge(subject, beside)
    if (Object.isFrozen(subject)) known.set(subject, { beside, said })
    return said
  }
}
