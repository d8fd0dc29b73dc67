/**
 * What Kubernetes accepts as names, and as keys and values of labels and annotations: each function returns what is wrong, in
 * apimachinery's words, and an empty list where nothing is. Patterns are anchored and unambiguous, so matching takes
 * linear time.
 */

export type NameErrors = readonly string[]

const LABEL = '[a-z0-9]([-a-z0-9]*[a-z0-9])?'
const SUBDOMAIN = `${LABEL}(\\.${LABEL})*`
const QUALIFIED = '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]'
const LABEL_VALUE = `(${QUALIFIED})?`

const label = new RegExp(`^${LABEL}$`)
const subdomain = new RegExp(`^${SUBDOMAIN}$`)
const qualified = new RegExp(`^${QUALIFIED}$`)
const labelValue = new RegExp(`^${LABEL_VALUE}$`)

const NONE: NameErrors = []

export function dns1123Label(value: string): NameErrors {
  if (value.length <= 63 && label.test(value)) return NONE
  const errors = tooLongFor(value, 63)
  if (!label.test(value)) {
    errors.push(
      subdomain.test(value)
        ? 'must not contain dots'
        : patternError(
            "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and end with an alphanumeric character",
            LABEL,
            'my-name',
            '123-abc',
          ),
    )
  }
  return errors
}

export function dns1123Subdomain(value: string): NameErrors {
  if (value.length <= 253 && subdomain.test(value)) return NONE
  const errors = tooLongFor(value, 253)
  if (!subdomain.test(value)) {
    errors.push(
      patternError(
        "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and end with an alphanumeric character",
        SUBDOMAIN,
        'example.com',
      ),
    )
  }
  return errors
}

const QUALIFIED_ERROR =
  "must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character"

/** Label keys, annotation keys, finalizers, resource names: `name` or `dns.prefix/name`. */
export function qualifiedName(value: string): NameErrors {
  const slash = value.indexOf('/')
  const name = slash < 0 ? value : value.slice(slash + 1)
  if (name.includes('/')) {
    const said = patternError(QUALIFIED_ERROR, QUALIFIED, 'MyName', 'my.name', '123-abc')
    return [`a qualified name ${said} with an optional DNS subdomain prefix and '/' (e.g. 'example.com/MyName')`]
  }
  const prefixErrors = slash < 0 ? NONE : slash === 0 ? ['must be non-empty'] : dns1123Subdomain(value.slice(0, slash))
  if (prefixErrors.length === 0 && name.length <= 63 && qualified.test(name)) return NONE
  const errors = prefixErrors.map((error) => `prefix part ${error}`)
  if (name.length === 0) errors.push('name part must be non-empty')
  else errors.push(...tooLongFor(name, 63).map((error) => `name part ${error}`))
  if (!qualified.test(name)) {
    errors.push(`name part ${patternError(QUALIFIED_ERROR, QUALIFIED, 'MyName', 'my.name', '123-abc')}`)
  }
  return errors
}

export function labelValueErrors(value: string): NameErrors {
  if (value.length <= 63 && labelValue.test(value)) return NONE
  const errors = tooLongFor(value, 63)
  if (!labelValue.test(value)) {
    errors.push(
      patternError(
        "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character",
        LABEL_VALUE,
        'MyValue',
        'my_value',
        '12345',
      ),
    )
  }
  return errors
}

/** Says so where the value is longer than `maximum` bytes. */
export function tooLongFor(value: string, maximum: number): string[] {
  // Go counts bytes. Only a value that is not ASCII, and thus bad anyway, has more of them than characters.
  return Buffer.byteLength(value) > maximum ? [`must be no more than ${maximum} characters`] : []
}

/** What a value does not match, with examples that do. */
export function patternError(said: string, pattern: string, ...examples: string[]): string {
  if (examples.length === 0) return `${said} (regex used for validation is '${pattern}')`
  // apimachinery leaves the comma of each example before the next one's `or`: `'a',  or 'b', `.
  const list = examples.map((example, index) => `${index > 0 ? ' or ' : ''}'${example}', `).join('')
  return `${said} (e.g. ${list}regex used for validation is '${pattern}')`
}
