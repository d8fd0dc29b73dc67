/** Reads fields of a kubeconfig, and says the file and the way to the field when one is not what it has to be. */

export type KubeconfigErrorCode = 'invalid-kubeconfig' | 'kubeconfig-missing'

interface KubeconfigErrorOptions extends ErrorOptions {
  code?: KubeconfigErrorCode
}

/** A kubeconfig that cannot be used. The message names the file, the field and what to do. */
export class KubeconfigError extends Error {
  override readonly name = 'KubeconfigError'
  /** `kubeconfig-missing` where the file, or what was asked of it, is not there or cannot be read. */
  readonly code: KubeconfigErrorCode

  constructor(message: string, { code = 'invalid-kubeconfig', ...options }: KubeconfigErrorOptions = {}) {
    super(message, options)
    this.code = code
  }
}

export interface Fields {
  readonly file: string
  has(name: string): boolean
  /** Undefined where it is absent, null or empty: kubectl treats all three alike. */
  text(name: string): string | undefined
  required(name: string): string
  flag(name: string): boolean
  texts(name: string): readonly string[]
  oneOf<V extends string>(name: string, values: readonly V[]): V | undefined
  /** An object; empty where it is absent. */
  object(name: string, shownAs?: string): Fields
  list(name: string): readonly Fields[]
  /** Every field as a list of texts. */
  textLists(): Record<string, readonly string[]>
  value(name: string): unknown
  url(name: string, text: string): URL
  error(name: string, what: string): KubeconfigError
}

export function createFields(file: string, value: unknown, at = ''): Fields {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    throw new KubeconfigError(`${file}: ${at || 'the whole file'} has to be a map of fields`)
  }
  const record = value as Record<string, unknown>

  function get(name: string): unknown {
    return Object.hasOwn(record, name) ? record[name] : undefined
  }
  function where(name: string): string {
    return at ? `${at}.${name}` : name
  }
  function error(name: string, what: string): KubeconfigError {
    return new KubeconfigError(`${file}: ${where(name)} ${what}`)
  }
  function text(name: string): string | undefined {
    const found = get(name)
    if (found === undefined || found === null || found === '') return undefined
    if (typeof found !== 'string') throw error(name, `has to be a text, and is ${typeof found}: put it in quotes`)
    return found
  }
  function array(name: string): readonly unknown[] {
    const found = get(name)
    if (found === undefined || found === null) return []
    if (!Array.isArray(found)) throw error(name, 'has to be a list')
    return found
  }
  function textsAt(name: string): readonly string[] {
    return array(name).map((each, index) => {
      if (typeof each !== 'string') throw error(`${name}[${index}]`, 'has to be a text: put it in quotes')
      return each
    })
  }

  return {
    file,
    error,
    text,
    texts: textsAt,
    value: get,
    has: (name) => get(name) !== undefined && get(name) !== null,
    required(name) {
      const found = text(name)
      if (found === undefined) throw error(name, 'is missing')
      return found
    },
    flag(name) {
      const found = get(name)
      if (found === undefined || found === null) return false
      if (typeof found !== 'boolean') throw error(name, 'has to be true or false')
      return found
    },
    oneOf(name, values) {
      const found = text(name)
      if (found === undefined) return undefined
      const known = values.find((each) => each === found)
      if (known === undefined)
        throw error(name, `is ${JSON.stringify(found)}, but has to be one of ${values.join(', ')}`)
      return known
    },
    object(name, shownAs = where(name)) {
      return createFields(file, get(name) ?? {}, shownAs)
    },
    list(name) {
      return array(name).map((each, index) => createFields(file, each, where(`${name}[${index}]`)))
    },
    textLists() {
      return Object.fromEntries(Object.keys(record).map((name) => [name, textsAt(name)]))
    },
    url(name, given) {
      try {
        return new URL(given)
      } catch (cause) {
        throw new KubeconfigError(
          `${file}: ${where(name)} is no URL such as https://host:6443: ${JSON.stringify(given)}`,
          { cause },
        )
      }
    },
  }
}
