/** Bodies of subresources whose kind is stored nowhere (Binding, Eviction, TokenRequest). */
import type { KubeObject } from '@caisson/api'
import type { DecodedNative } from '../../schema/native.ts'
import type { Body, Call } from '../call.ts'
import { MOST_PROBLEMS } from '../decode.ts'
import { badRequest } from '../errors.ts'
import type { WriteOptions } from '../options.ts'

export interface DecodeIntoOptions {
  kind: string
  apiVersion: string
  decode(value: Readonly<Record<string, unknown>>): DecodedNative
  call: Call
  options: WriteOptions
}

export function decodeInto(body: Body | undefined, { kind, apiVersion, decode, call, options }: DecodeIntoOptions) {
  const value = body?.value
  if (typeof value !== 'object' || value === null || Array.isArray(value))
    throw badRequest(
      `the object provided is unrecognized (must be of type ${kind}): couldn't get version/kind (<empty>)`,
    )
  const given = value as Partial<KubeObject>
  const version = apiVersion.slice(apiVersion.indexOf('/') + 1)
  const prefix = `${kind} in version ${JSON.stringify(version)} cannot be handled as a ${kind}: `
  if ((given.kind ?? kind) !== kind || (given.apiVersion ?? apiVersion) !== apiVersion)
    throw badRequest(
      `the API version in the data (${given.apiVersion}, Kind=${given.kind}) does not match the expected API version (${apiVersion}, Kind=${kind})`,
    )
  const { object, unknownFields, error } = decode({ ...given, metadata: given.metadata ?? {} })
  if (error !== undefined) throw badRequest(prefix + error)
  const problems = [
    ...unknownFields.slice(0, MOST_PROBLEMS).map((path) => `unknown field "${path}"`),
    ...(body?.duplicates ?? []),
  ]
  if (problems.length > 0 && options.fieldValidation === 'Strict')
    throw badRequest(`${prefix}strict decoding error: ${problems.join(', ')}`)
  if (options.fieldValidation === 'Warn') call.warnings.push(...problems)
  return { ...object, kind, apiVersion } as KubeObject
}
