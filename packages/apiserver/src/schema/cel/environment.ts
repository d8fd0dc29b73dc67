/** Every function that rules may call, by its name. */
import type { Overload } from './functions.ts'
import { KUBERNETES } from './functions-kubernetes.ts'
import { LIST_FUNCTIONS } from './functions-lists.ts'
import { OPERATORS } from './functions-operators.ts'
import { PATTERN_FUNCTIONS } from './functions-patterns.ts'
import { TYPE_NAMES } from './functions-standard.ts'
import { STRING_FUNCTIONS } from './functions-strings.ts'
import { CIDR, IP, type Type, typeOf } from './types.ts'
import { TypeValue } from './values.ts'

export const FUNCTIONS: ReadonlyMap<string, readonly Overload[]> = new Map(
  [...OPERATORS, ...KUBERNETES, ...PATTERN_FUNCTIONS, ...STRING_FUNCTIONS, ...LIST_FUNCTIONS].map(
    ({ name, overloads }) => [name, overloads],
  ),
)

/** Names that are constants: those of types. */
export const CONSTANTS: ReadonlyMap<string, { type: Type; value: TypeValue }> = new Map(
  [...TYPE_NAMES, ['net.IP', IP] as const, ['net.CIDR', CIDR] as const].map(([name, type]) => [
    name,
    { type: typeOf(type), value: new TypeValue(name) },
  ]),
)
