/** The kinds that only ask: they are created, answered, and not stored. */
import type { Authenticator } from '../authn/authenticate.ts'
import { reviewSelf, reviewToken } from '../authn/service-account-tokens.ts'
import type { Resource } from '../registry/resource.ts'
import { decodeNative } from '../schema/native.ts'
import type { Environment } from '../verbs/environment.ts'
import { reviewLocalSubjectAccess, reviewOwnAccess, reviewOwnRules, reviewSubjectAccess } from './access-reviews.ts'
import type { Authorizer } from './authorizer.ts'

export interface ReviewsOptions {
  authenticator: Authenticator
  authorizer: Authorizer
  /** ms since the epoch. */
  now: () => number
}

export interface Reviews {
  /** For the registry, and so for discovery. */
  resources: readonly Resource[]
  /** What answers them. */
  virtual: Environment['virtual']
}

/** TokenReview, SelfSubjectReview and the four of authorization.k8s.io. */
export function createReviews({ authenticator, authorizer, now }: ReviewsOptions): Reviews {
  return {
    resources: [
      review('authentication', 'SelfSubjectReview'),
      review('authentication', 'TokenReview'),
      { ...review('authorization', 'LocalSubjectAccessReview'), namespaced: true },
      review('authorization', 'SelfSubjectAccessReview'),
      review('authorization', 'SelfSubjectRulesReview'),
      review('authorization', 'SubjectAccessReview'),
    ],
    virtual: {
      'selfsubjectreviews.authentication.k8s.io': (_object, { user }) => reviewSelf(user, now()),
      'tokenreviews.authentication.k8s.io': (object) => reviewToken(object, authenticator),
      'localsubjectaccessreviews.authorization.k8s.io': (object, { info }) =>
        reviewLocalSubjectAccess(authorizer, object, info.namespace),
      'selfsubjectaccessreviews.authorization.k8s.io': (object, { user }) => reviewOwnAccess(authorizer, object, user),
      'selfsubjectrulesreviews.authorization.k8s.io': (object, { user }) => reviewOwnRules(authorizer, object, user),
      'subjectaccessreviews.authorization.k8s.io': (object) => reviewSubjectAccess(authorizer, object),
    },
  }
}

function review(api: 'authentication' | 'authorization', kind: string): Resource {
  const definition = `io.k8s.api.${api}.v1.${kind}`
  return {
    group: `${api}.k8s.io`,
    version: 'v1',
    kind,
    listKind: `${kind}List`,
    plural: `${kind.toLowerCase()}s`,
    singular: kind.toLowerCase(),
    shortNames: [],
    categories: [],
    namespaced: false,
    verbs: ['create'],
    storageVersion: 'v1',
    schema: { $ref: definition },
    decode: (value) => decodeNative(definition, value),
    strategy: {},
    columns: [],
    selectableFields: {},
    status: false,
    structural: true,
  }
}
