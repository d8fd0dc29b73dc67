/** How a registry wants to know who asks. */
export interface Challenge {
  /** In lower case: `basic`, `bearer`. */
  scheme: string
  /** Names in lower case. */
  parameters: ReadonlyMap<string, string>
}

const LONGEST = 4096

/**
 * Reads a `WWW-Authenticate` header: schemes with parameters, several of them separated by the same commas as the
 * parameters (RFC 9110, section 11.6.1). What cannot be read ends the list.
 */
export function parseChallenges(header: string | undefined): Challenge[] {
  const text = (header ?? '').slice(0, LONGEST)
  const found: Array<{ scheme: string; parameters: Map<string, string> }> = []
  const token = /[ \t,]*([!#$%&'*+.^_`|~0-9A-Za-z-]+)/y
  const value = /[ \t]*=[ \t]*(?:"((?:[^"\\]|\\.)*)"|([!#$%&'*+.^_`|~0-9A-Za-z/:=-]+))/y
  for (let at = 0; ; ) {
    token.lastIndex = at
    const name = token.exec(text)?.[1]
    if (name === undefined) return found
    at = token.lastIndex
    value.lastIndex = at
    const match = value.exec(text)
    if (!match) {
      found.push({ scheme: name.toLowerCase(), parameters: new Map() })
      continue
    }
    at = value.lastIndex
    found.at(-1)?.parameters.set(name.toLowerCase(), match[1]?.replaceAll(/\\(.)/g, '$1') ?? match[2] ?? '')
  }
}
