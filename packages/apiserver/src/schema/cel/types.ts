/** The types of CEL, as its checker knows them. */

export type Kind =
  | 'dyn'
  | 'error'
  | 'null'
  | 'bool'
  | 'int'
  | 'uint'
  | 'double'
  | 'string'
  | 'bytes'
  | 'timestamp'
  | 'duration'
  | 'list'
  | 'map'
  | 'struct'
  | 'opaque'
  | 'type'
  | 'param'

export interface Type {
  readonly kind: Kind
  /** As messages print it, parameters and all. Types of the same text are the same type. */
  readonly text: string
  readonly name: string
  readonly params: readonly Type[]
  /** Of structs. */
  readonly fields?: (name: string) => Type | undefined
}

function simple(kind: Kind, name: string): Type {
  return { kind, name, text: name, params: [] }
}

export const DYN = simple('dyn', 'dyn')
export const ERROR = simple('error', '!error!')
export const NULL = simple('null', 'null')
export const BOOL = simple('bool', 'bool')
export const INT = simple('int', 'int')
export const UINT = simple('uint', 'uint')
export const DOUBLE = simple('double', 'double')
export const STRING = simple('string', 'string')
export const BYTES = simple('bytes', 'bytes')
export const TIMESTAMP = simple('timestamp', 'timestamp')
export const DURATION = simple('duration', 'duration')
export const QUANTITY = simple('struct', 'kubernetes.Quantity')
export const URL_TYPE = simple('struct', 'kubernetes.URL')
export const FORMAT = simple('struct', 'kubernetes.NamedFormat')
export const SEMVER = simple('struct', 'kubernetes.Semver')
export const IP = simple('opaque', 'net.IP')
export const CIDR = simple('opaque', 'net.CIDR')

function parametric(kind: Kind, name: string, params: readonly Type[]): Type {
  return { kind, name, params, text: `${name}(${params.map((param) => param.text).join(', ')})` }
}

export function listOf(item: Type): Type {
  return parametric('list', 'list', [item])
}

export function mapOf(key: Type, value: Type): Type {
  return parametric('map', 'map', [key, value])
}

export function optionalOf(value: Type): Type {
  return parametric('opaque', 'optional_type', [value])
}

export function typeOf(type: Type): Type {
  return parametric('type', 'type', [type])
}

export function param(name: string): Type {
  return simple('param', name)
}

export function structOf(name: string, fields: (name: string) => Type | undefined): Type {
  return { kind: 'struct', name, text: name, params: [], fields }
}

export function isOptional(type: Type): boolean {
  return type.kind === 'opaque' && type.name === 'optional_type'
}

/** What an optional holds; any other type is itself. */
export function unwrapOptional(type: Type): Type {
  return isOptional(type) ? (type.params[0] as Type) : type
}

/** The same type with other parameters. */
export function withParams(type: Type, params: readonly Type[]): Type {
  return params.every((param, index) => param === type.params[index]) ? type : parametric(type.kind, type.name, params)
}
