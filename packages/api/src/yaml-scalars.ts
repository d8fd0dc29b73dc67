import type { CreateNodeOptions, DocumentOptions, ParseOptions, ScalarTag, SchemaOptions } from 'yaml'

type YamlOptions = ParseOptions & DocumentOptions & SchemaOptions & CreateNodeOptions

const scalar = (name: string): Pick<ScalarTag, 'tag' | 'default'> => ({
  tag: `tag:yaml.org,2002:${name}`,
  default: true,
})

/** What may be one; underscores count for nothing. */
const NUMBER = /^[-+]?(?:0_*[a-zA-Z][\da-fA-F_]+|(?:\.\d|\d[\d_]*\.?)[\d_]*(?:[eE][-+]?[\d_]+)?)$/
const WHOLE = /^([-+]?)(?:0[xX]([\da-fA-F]+)|0[bB]([01]+)|0[oO]?([0-7]+)|([1-9]\d*|0))$/
const DECIMAL = /^[-+]?(?:\.\d+|\d+(?:\.\d*)?)(?:[eE][-+]?\d+)?$/

const BASE64 = /^[A-Za-z\d+/]*={0,2}$/

/** What Go's `strconv` makes of it; the text itself where that is no number. */
function numberOf(text: string): number | string {
  const plain = text.replaceAll('_', '')
  const [, sign, hexadecimal, binary, octal, decimal] = WHOLE.exec(plain) ?? []
  const size = digits(hexadecimal, 16) ?? digits(binary, 2) ?? digits(octal, 8) ?? digits(decimal, 10)
  if (size !== undefined) return sign === '-' ? 0 - size : size
  return DECIMAL.test(plain) ? Number(plain) : text
}

function digits(text: string | undefined, radix: number): number | undefined {
  return text === undefined ? undefined : Number.parseInt(text, radix)
}

const boolean = (value: boolean, test: RegExp): ScalarTag => ({
  ...scalar('bool'),
  test,
  resolve: () => value,
  identify: (given) => given === value,
  stringify: () => String(value),
})

const SCALARS: readonly ScalarTag[] = [
  {
    ...scalar('null'),
    test: /^(?:~|null|Null|NULL)?$/,
    resolve: () => null,
    identify: (given) => given === null,
    stringify: () => 'null',
  },
  boolean(true, /^(?:y|Y|yes|Yes|YES|true|True|TRUE|on|On|ON)$/),
  boolean(false, /^(?:n|N|no|No|NO|false|False|FALSE|off|Off|OFF)$/),
  {
    tag: 'tag:yaml.org,2002:binary',
    resolve(text, onError) {
      const letters = text.replace(/[\r\n]/g, '')
      if (letters.length % 4 > 0 || !BASE64.test(letters)) onError('!!binary value contains invalid base64 data')
      return Buffer.from(letters, 'base64').toString()
    },
  },
  {
    ...scalar('float'),
    test: NUMBER,
    resolve: numberOf,
    identify: (given) => typeof given === 'number',
    stringify: ({ value }) => String(value),
  },
]

/**
 * Has the `yaml` package read scalars as kubectl and kube-apiserver do, and write what they read as the same, which is
 * neither of YAML's versions: `0400` is 256, a `defaultMode` of which everybody else makes another one, `yes` and `on` are
 * true, and dates and `1:30` are texts. By go.yaml.in/yaml/v2, `resolve.go`.
 */
export const KUBERNETES_YAML = {
  schema: 'failsafe',
  customTags: [...SCALARS],
  merge: true,
  // What others say of sets, dates and ordered maps makes no values of Kubernetes'.
  resolveKnownTags: false,
} as const satisfies YamlOptions
