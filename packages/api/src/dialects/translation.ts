/** What a flat object says, in canonical words. */
export type Translation<T> =
  | {
      canonical: T
      /** Sentences about fields that are right and have no effect here. */
      ignored: readonly string[]
    }
  /** Naming the field: why it says nothing. */
  | { problem: string }

export function isProblem<T>(translation: Translation<T>): translation is { problem: string } {
  return 'problem' in translation
}

/** `{ [key]: value }`, or nothing where there is no value. */
export function given<K extends string, V>(key: K, value: V | undefined): { [P in K]?: V } {
  return (value === undefined ? {} : { [key]: value }) as { [P in K]?: V }
}
