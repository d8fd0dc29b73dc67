/** Kubernetes' quantities (`500m`, `1.5Gi`, `2e3`) as numbers. */

const SUFFIXES: ReadonlyMap<string, number> = new Map([
  ['n', 1e-9],
  ['u', 1e-6],
  ['m', 1e-3],
  ['', 1],
  ['k', 1e3],
  ['M', 1e6],
  ['G', 1e9],
  ['T', 1e12],
  ['P', 1e15],
  ['E', 1e18],
  ['Ki', 2 ** 10],
  ['Mi', 2 ** 20],
  ['Gi', 2 ** 30],
  ['Ti', 2 ** 40],
  ['Pi', 2 ** 50],
  ['Ei', 2 ** 60],
])

/** Undefined where the text is no quantity. Exact up to 2^53, which is more memory than any machine has. */
export function parseQuantity(text: string | number): number | undefined {
  const match = /^([+-]?(?:\d+\.?\d*|\.\d+))(?:[eE]([+-]?\d{1,3})|([A-Za-z]{0,2}))$/.exec(String(text))
  if (!match) return undefined
  const [, digits = '', exponent, suffix = ''] = match
  const scale = exponent === undefined ? SUFFIXES.get(suffix) : 10 ** Number(exponent)
  return scale === undefined ? undefined : Number(digits) * scale
}
