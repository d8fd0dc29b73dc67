/** What an API server says of an object that it refuses, for who wrote the file that it comes from. */
import type { KubeObject } from '@caisson/api'
import { isApiError } from '@caisson/client'
import { CliError, type CliErrorCode } from '../cli-error.ts'
import { missingNamespace } from '../missing-namespace.ts'
import type { ManifestObject } from './manifest-files.ts'

/** What an answer's code means to a script. */
const CODES: Record<number, CliErrorCode> = { 403: 'not-permitted', 404: 'not-found', 422: 'usage' }

/** @returns the error itself where no server has answered: it is about none of the objects */
export function refusedObject(
  error: unknown,
  { object, place }: ManifestObject,
  namespace: string | undefined,
): unknown {
  if (!isApiError(error)) return error
  const missing = namespace === undefined ? undefined : missingNamespace(error, namespace)
  if (missing) return new CliError(missing.code, `${place}: ${missing.message}`, { cause: error })
  const fields = wrongFields(error.message, object)
  if (fields !== undefined) return new CliError('usage', `${place}: ${fields}`, { cause: error })
  // The place has said of which.
  const [itself = ''] = /^[\w.-]+ "[^"]*" is invalid: /.exec(error.message) ?? []
  const text = error.message.slice(itself.length)
  return new CliError(CODES[error.code] ?? 'failed', `${place}: ${text}`, { cause: error })
}

/** How servers begin what they say of an object that the schema of its kind has no place for: with a line of each mistake. */
const UNTYPED =
  /^failed to create (?:manager for existing fields|typed patch object) \([^;]*; .*?, Kind=[^)]*\): (?:errors:\n)?/

const UNKNOWN = /^\.(.+): field not declared in schema$/
/** Behind the types that it knows, Go's own way of writing a value. */
const OF_ANOTHER_TYPE =
  /^\.(.+): expected (map|list|string|boolean|numeric|any scalar)(?: \(.*?\))?, got (?:&.*?\{(?:Value:)?(.*)\}|(.*))$/

const TYPES: Record<string, string> = { numeric: 'number', 'any scalar': 'scalar' }

/** Undefined where the message is about something else. */
function wrongFields(message: string, { kind }: KubeObject): string | undefined {
  const begin = UNTYPED.exec(message)
  if (!begin) return undefined
  let explained: string | undefined
  const mistakes = message
    .slice(begin[0].length)
    .split('\n')
    .map((line) => {
      const text = line.trim()
      const [, unknown] = UNKNOWN.exec(text) ?? []
      if (unknown !== undefined) {
        explained ??= plain(unknown).split('.').slice(0, -1).join('.')
        return `${unknown} is no field of ${kind}`
      }
      const [, field, expected = '', value, type] = OF_ANOTHER_TYPE.exec(text) ?? []
      if (field === undefined) return text.replace(/^\./, '')
      explained ??= plain(field)
      return `${field} takes a ${TYPES[expected] ?? expected}, not ${value ?? `a ${type}`}`
    })
  const what = [kind.toLowerCase(), ...(explained ? [explained] : [])].join('.')
  return `${mistakes.join('; ')}: 'kubectl explain ${what}' says what there is`
}

/** Without which of a list's elements it is in. */
function plain(path: string): string {
  return path.replaceAll(/\[(?:[^\]"]|"(?:[^"\\]|\\.)*")*\]/g, '')
}
