/** A structural schema as a CustomResourceDefinition carries it (apiextensions.k8s.io/v1 JSONSchemaProps). */
export interface StructuralSchema {
  type?: 'object' | 'array' | 'string' | 'integer' | 'number' | 'boolean'
  format?: string
  description?: string
  default?: unknown
  enum?: readonly unknown[]
  properties?: Readonly<Record<string, StructuralSchema>>
  required?: readonly string[]
  additionalProperties?: StructuralSchema
  items?: StructuralSchema
  pattern?: string
  minimum?: number
  maximum?: number
  minLength?: number
  maxLength?: number
  maxItems?: number
  anyOf?: readonly StructuralSchema[]
  nullable?: boolean
  /** Only inside the generated files: the name of another type. A finished CRD has none. */
  $ref?: string
  'x-kubernetes-int-or-string'?: true
  'x-kubernetes-list-type'?: 'atomic' | 'set' | 'map'
  'x-kubernetes-list-map-keys'?: readonly string[]
  'x-kubernetes-map-type'?: 'atomic' | 'granular'
  'x-kubernetes-validations'?: readonly ValidationRule[]
}

/** A CEL rule (`x-kubernetes-validations`). */
export interface ValidationRule {
  rule: string
  message?: string
  messageExpression?: string
  reason?: 'FieldValueInvalid' | 'FieldValueForbidden' | 'FieldValueRequired' | 'FieldValueDuplicate'
  fieldPath?: string
  /** `oldSelf` may be absent, so that a rule about a transition is asked of new objects too. */
  optionalOldSelf?: boolean
}
