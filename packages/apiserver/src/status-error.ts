import type { Status, StatusCause } from '@caisson/api'

/** Reasons of apimachinery's `metav1.StatusReason`, with the HTTP code that each carries. */
const CODES = {
  BadRequest: 400,
  Unauthorized: 401,
  Forbidden: 403,
  NotFound: 404,
  MethodNotAllowed: 405,
  NotAcceptable: 406,
  AlreadyExists: 409,
  Conflict: 409,
  Gone: 410,
  Expired: 410,
  RequestEntityTooLarge: 413,
  UnsupportedMediaType: 415,
  Invalid: 422,
  TooManyRequests: 429,
  InternalError: 500,
  /** Errors that Kubernetes passes on without a reason. */
  Unknown: 500,
  ServiceUnavailable: 503,
  Timeout: 504,
} as const

export type StatusReason = keyof typeof CODES

/** Any failure that a client is told about; becomes a `v1.Status` on the wire. */
export class StatusError extends Error {
  override readonly name = 'StatusError'
  readonly code: number
  readonly reason: StatusReason
  readonly details: Status['details']
  readonly listMeta: Status['metadata']
  constructor(
    reason: StatusReason,
    message: string,
    options: { details?: Status['details']; code?: number; cause?: unknown; listMeta?: Status['metadata'] } = {},
  ) {
    super(message, { cause: options.cause })
    this.reason = reason
    this.code = options.code ?? CODES[reason]
    this.details = options.details
    this.listMeta = options.listMeta ?? {}
  }

  toStatus(): Status {
    return {
      kind: 'Status',
      apiVersion: 'v1',
      metadata: this.listMeta,
      status: 'Failure',
      message: this.message,
      ...(this.reason !== 'Unknown' && { reason: this.reason }),
      ...(this.details && { details: this.details }),
      code: this.code,
    }
  }
}

/** `field.Error` of apimachinery: one thing that is wrong with one field. */
export interface FieldError {
  type:
    | 'FieldValueRequired'
    | 'FieldValueInvalid'
    | 'FieldValueForbidden'
    | 'FieldValueDuplicate'
    | 'FieldValueNotSupported'
    | 'FieldValueTypeInvalid'
    | 'FieldValueTooLong'
    | 'FieldValueTooMany'
    | 'FieldValueNotFound'
    | 'InternalError'
  /** Such as `spec.containers[0].name`. */
  field: string
  /** Complete after the field, in apimachinery's words: `Required value: must be set`. Where it shows a value, made anew each time. */
  readonly message: string
}

/** Of one object, said to its client: a body of 3 MiB can have 150,000, in an answer of 70 MB. */
const MOST_ERRORS = 100

/** 422 Invalid, with the sentence and the causes that kube-apiserver writes; of more than a hundred the first hundred. */
export function invalid(
  kind: { group: string; kind: string },
  name: string,
  found: readonly FieldError[],
): StatusError {
  const causes: StatusCause[] = found
    .slice(0, MOST_ERRORS)
    .map(({ type: reason, message, field }) => ({ reason, message, field }))
  // The sentence says everything once; the causes repeat what several checks found.
  const said = [...new Set(causes.map(({ field, message }) => `${field}: ${message}`))]
  if (found.length > causes.length) said.push(`and ${found.length - causes.length} more`)
  const qualified = kind.group ? `${kind.kind}.${kind.group}` : kind.kind
  const list = said.length === 1 ? said[0] : `[${said.join(', ')}]`
  return new StatusError('Invalid', `${qualified} ${JSON.stringify(name)} is invalid: ${list}`, {
    details: {
      ...(name && { name }),
      ...(kind.group && { group: kind.group }),
      ...(kind.kind && { kind: kind.kind }),
      causes,
    },
  })
}
