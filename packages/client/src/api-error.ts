import type { Status } from '@caisson/api'

/**
 * An API server answered and said no. `reason` is Kubernetes' word for why (`NotFound`, `Conflict` ...) and what code
 * should be decided by; `code` is the HTTP status. Across packages match by `name` or use `hasReason`.
 */
export class ApiError extends Error {
  override readonly name = 'ApiError'
  readonly code: number
  /** `Unknown` where the answer was no `Status`. */
  readonly reason: string
  readonly details: Status['details']
  /** Milliseconds after which the server asks to be tried again. */
  readonly retryAfter: number | undefined
  readonly status: Status

  constructor(status: Status, options: { retryAfter?: number | undefined; cause?: unknown } = {}) {
    super(status.message ?? `the server answered ${status.code ?? 0} ${status.reason ?? ''}`.trimEnd(), {
      cause: options.cause,
    })
    this.code = status.code ?? 0
    this.reason = status.reason ?? 'Unknown'
    this.details = status.details
    const seconds = status.details?.retryAfterSeconds
    this.retryAfter = options.retryAfter ?? (seconds === undefined ? undefined : seconds * 1000)
    this.status = status
  }
}

/** What an answer that is not a `Status` is taken for, by its HTTP status alone; apimachinery does the same. */
const REASONS: Record<number, string> = {
  400: 'BadRequest',
  401: 'Unauthorized',
  403: 'Forbidden',
  404: 'NotFound',
  405: 'MethodNotAllowed',
  406: 'NotAcceptable',
  409: 'Conflict',
  410: 'Expired',
  413: 'RequestEntityTooLarge',
  415: 'UnsupportedMediaType',
  422: 'Invalid',
  429: 'TooManyRequests',
  500: 'InternalError',
  503: 'ServiceUnavailable',
  504: 'Timeout',
}

/** Characters of a plain-text answer that go into the message: a proxy's HTML page must not fill a log. */
const SHOWN = 500

/** The error that an answer of `code` with `body` stands for. */
export function errorFromAnswer(code: number, body: unknown, retryAfter?: number): ApiError {
  if (isStatus(body)) return new ApiError(body.code === undefined ? { ...body, code } : body, { retryAfter })
  const text = typeof body === 'string' ? body.trim().slice(0, SHOWN) : ''
  return new ApiError(
    {
      apiVersion: 'v1',
      kind: 'Status',
      metadata: {},
      status: 'Failure',
      message: `the server answered ${code} without saying why${text && `: ${text}`}`,
      reason: REASONS[code] ?? 'Unknown',
      code,
    },
    { retryAfter },
  )
}

export function isStatus(value: unknown): value is Status {
  return typeof value === 'object' && value !== null && 'kind' in value && value.kind === 'Status'
}

/** True for an `ApiError` (of whichever copy of this package) with one of `reasons`. */
export function hasReason<R extends string>(
  error: unknown,
  ...reasons: readonly R[]
): error is ApiError & { reason: R } {
  return isApiError(error) && (reasons as readonly string[]).includes(error.reason)
}

export function isApiError(error: unknown): error is ApiError {
  return error instanceof Error && error.name === 'ApiError'
}

export function isNotFound(error: unknown): error is ApiError & { reason: 'NotFound' } {
  return hasReason(error, 'NotFound')
}

export function isAlreadyExists(error: unknown): error is ApiError & { reason: 'AlreadyExists' } {
  return hasReason(error, 'AlreadyExists')
}

/** Another write came first, or an apply would take over fields of someone else. */
export function isConflict(error: unknown): error is ApiError & { reason: 'Conflict' } {
  return hasReason(error, 'Conflict')
}

/** Nothing is made any more in a namespace that goes. */
export function isNamespaceTerminating(error: unknown): boolean {
  return isApiError(error) && (error.details?.causes ?? []).some(({ reason }) => reason === 'NamespaceTerminating')
}

/** The resourceVersion or the continue token is too old. */
export function isExpired(error: unknown): error is ApiError & { reason: 'Expired' | 'Gone' } {
  return hasReason(error, 'Expired', 'Gone')
}
