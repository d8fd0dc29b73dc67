import type { Resource } from '../registry/resource.ts'
import { decodeNative } from '../schema/native.ts'
import type { Answer, Call } from '../verbs/call.ts'
import type { Environment, Subresource } from '../verbs/environment.ts'
import { writeOptions } from '../verbs/options.ts'
import { admitCreated } from '../verbs/subresources/admit-created.ts'
import { decodeInto } from '../verbs/subresources/decode-into.ts'
import { requestToken, type TokenIssuerOptions } from './service-account-tokens.ts'

/** `serviceaccounts/token`: a TokenRequest is answered with a token. */
export function tokenSubresource(issuer: TokenIssuerOptions): Subresource {
  return {
    name: 'token',
    kind: 'TokenRequest',
    group: 'authentication.k8s.io',
    version: 'v1',
    verbs: ['create'],
    handle: (call, resource, environment) => create(call, { resource, environment, issuer }),
  }
}

async function create(
  call: Call,
  { resource, environment, issuer }: { resource: Resource; environment: Environment; issuer: TokenIssuerOptions },
): Promise<Answer> {
  const { namespace, name } = call.info
  const options = writeOptions('CreateOptions', call.query, call.userAgent)
  const object = decodeInto(await call.readBody(), {
    kind: 'TokenRequest',
    apiVersion: 'authentication.k8s.io/v1',
    decode: (value) => decodeNative('io.k8s.api.authentication.v1.TokenRequest', value),
    call,
    options,
  })
  // Nothing is written, but who may have whose token is admission's to say.
  const { dryRun } = options
  await environment.store.write(
    (transaction) => admitCreated(transaction, { call, resource, environment, object, name, dryRun }),
    call.share,
  )
  return { status: 201, body: await requestToken(object, { namespace, name }, issuer) }
}
