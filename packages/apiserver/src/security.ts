/** Who asks, what they may do and what is asked of their writes: the parts of an API server that keep it safe. */
import type { KeyObject } from 'node:crypto'
import type { IncomingMessage } from 'node:http'
import type { TLSSocket } from 'node:tls'
import type { UserInfo } from '@caisson/api'
import { type Admission, createAdmission } from './admission/admit.ts'
import type { PodSecurityOptions } from './admission/pod-security/admit-pod-security.ts'
import { ensureSystemNamespaces } from './admission/system-namespaces.ts'
import { ensureSystemPriorityClasses } from './admission/system-priority-classes.ts'
import { createAuthenticator, type RequestHeaders, type StaticToken } from './authn/authenticate.ts'
import { peerCertificateOf } from './authn/client-certificate.ts'
import { impersonate } from './authn/impersonate.ts'
import { jsonWebKeySet, openidConfiguration, verificationKey } from './authn/token-keys.ts'
import { tokenSubresource } from './authn/token-subresource.ts'
import { startAggregation } from './authz/aggregation.ts'
import type { Authorize } from './authz/attributes.ts'
import { createAuthorizer } from './authz/authorizer.ts'
import { ensureBootstrapPolicy } from './authz/bootstrap-policy.ts'
import { createReviews } from './authz/review-resources.ts'
import type { PathHandler } from './pipeline.ts'
import type { Registry } from './registry/registry.ts'
import type { Resource } from './registry/resource.ts'
import type { Store } from './storage/store.ts'
import type { Environment, Subresources } from './verbs/environment.ts'

/** The issuer of ServiceAccount tokens, and their audience unless they ask for another. */
export const TOKEN_ISSUER = 'https://kubernetes.default.svc.cluster.local'

export interface SecurityOptions {
  store: Store
  /** Signs ServiceAccount tokens: `Certificates.serviceAccountKey`. */
  serviceAccountKey: KeyObject
  tokens?: readonly StaticToken[]
  podSecurity?: Partial<PodSecurityOptions>
  /** The kinds that are served: a server is made with what this makes. */
  registry?: () => Pick<Registry, 'all'>
  /** ms since the epoch. */
  now: () => number
  /** Failures that no client is told about. */
  report: (error: unknown) => void
}

const NO_KINDS: Pick<Registry, 'all'> = { all: () => [] }

export interface Security extends Disposable {
  /** For `createApiServer`. */
  authenticate(request: IncomingMessage): Promise<UserInfo | undefined>
  /** `headers` with the lines of one name apart: `headersDistinct`. */
  impersonate(user: UserInfo, headers: RequestHeaders): UserInfo
  authorize: Authorize
  admit: Admission['admit']
  confirmGrants: Admission['confirmGrants']
  admitValidated: Admission['admitValidated']
  /** Access reviews and token reviews: beside the built-in kinds. */
  resources: readonly Resource[]
  /** What answers them. */
  virtual: Environment['virtual']
  /** `serviceaccounts/token`. */
  subresources: Subresources
  /** The keys that verify tokens, and where they are. */
  findPath(path: string): PathHandler | undefined
}

/**
 * Puts authentication, authorization and admission together over one store. Before it resolves, the namespaces,
 * roles, bindings and priority classes that every cluster has are in the store.
 */
export async function createSecurity(options: SecurityOptions): Promise<Security> {
  const { store, serviceAccountKey, now } = options
  await Promise.all([
    ensureSystemNamespaces(store, { now }),
    ensureBootstrapPolicy(store, { now }),
    ensureSystemPriorityClasses(store, { now }),
  ])
  const keys = [verificationKey(serviceAccountKey)]
  const issuer = TOKEN_ISSUER
  const audiences = [TOKEN_ISSUER]
  const authenticator = createAuthenticator({
    tokens: options.tokens ?? [],
    serviceAccounts: { issuer, audiences, keys, source: store },
    now,
  })
  const authorizer = createAuthorizer(store)
  const aggregation = startAggregation(store, { onError: options.report })
  const admission = createAdmission({
    store,
    authorizer,
    now,
    registry: options.registry ?? (() => NO_KINDS),
    ...(options.podSecurity && { podSecurity: options.podSecurity }),
  })
  const documents: Readonly<Record<string, object>> = {
    '/openid/v1/jwks': jsonWebKeySet(keys),
    '/.well-known/openid-configuration': openidConfiguration(issuer, `${issuer}/openid/v1/jwks`, keys),
  }
  return {
    authenticate: (request) =>
      authenticator.authenticate({
        headers: request.headersDistinct,
        peerCertificate: peerCertificateOf(request.socket as TLSSocket),
      }),
    impersonate: (user, headers) => impersonate(user, headers, authorizer.authorize),
    authorize: authorizer.authorize,
    admit: admission.admit,
    confirmGrants: admission.confirmGrants,
    admitValidated: admission.admitValidated,
    ...createReviews({ authenticator, authorizer, now }),
    subresources: {
      serviceaccounts: [tokenSubresource({ issuer, audiences, signingKey: serviceAccountKey, source: store, now })],
    },
    findPath(path) {
      const body = Object.hasOwn(documents, path) ? documents[path] : undefined
      return body && (() => ({ status: 200, body }))
    },
    [Symbol.dispose]() {
      aggregation[Symbol.dispose]()
      authorizer[Symbol.dispose]()
    },
  }
}
