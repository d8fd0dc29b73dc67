/** The keys that sign and verify ServiceAccount tokens, by their ids. */
import { createHash, createPublicKey, type KeyObject } from 'node:crypto'

type TokenAlgorithm = 'ES256' | 'RS256'

export interface VerificationKey {
  id: string
  algorithm: TokenAlgorithm
  key: KeyObject
}

/** The public half of a P-256 or RSA key (of at least 2,048 bits), with the id and the only algorithm that it is good for. */
export function verificationKey(key: KeyObject): VerificationKey {
  const publicKey = key.type === 'public' ? key : createPublicKey(key)
  const der = publicKey.export({ type: 'spki', format: 'der' })
  return {
    // Kubernetes' own choice of an id, so that tools which compute it find the key.
    id: createHash('sha256').update(der).digest('base64url'),
    algorithm: algorithmOf(publicKey),
    key: publicKey,
  }
}

function algorithmOf(key: KeyObject): TokenAlgorithm {
  const { namedCurve, modulusLength = 0 } = key.asymmetricKeyDetails ?? {}
  if (key.asymmetricKeyType === 'ec' && namedCurve === 'prime256v1') return 'ES256'
  if (key.asymmetricKeyType === 'rsa' && modulusLength >= 2048) return 'RS256'
  throw new Error(
    `expected a P-256 key or an RSA key of at least 2048 bits to sign tokens, found ${key.asymmetricKeyType} ` +
      `${namedCurve ?? modulusLength}`,
  )
}

/** `/openid/v1/jwks`. */
export function jsonWebKeySet(keys: readonly VerificationKey[]) {
  return {
    keys: keys.map(({ id, algorithm, key }) => {
      const { kty, ...numbers } = key.export({ format: 'jwk' })
      return { use: 'sig', kty, kid: id, alg: algorithm, ...numbers }
    }),
  }
}

/** `/.well-known/openid-configuration`. */
export function openidConfiguration(issuer: string, jwksUri: string, keys: readonly VerificationKey[]) {
  return {
    issuer,
    jwks_uri: jwksUri,
    response_types_supported: ['id_token'],
    subject_types_supported: ['public'],
    id_token_signing_alg_values_supported: [...new Set(keys.map(({ algorithm }) => algorithm))].sort(),
  }
}
