/**
 * Scoped tokens, version 2: `v2.KEY.CLAIMS.SIGNATURE`. Each is good for one port, method and path of one Sandbox until it
 * ends, so that an agent can be handed a key to its own sandbox and to nothing else. They are signed with Ed25519, and
 * the router has public keys only.
 */
import { createPublicKey, type KeyObject, sign, verify } from 'node:crypto'
import { type Access, type Authorize, bearerToken, forbidden, unauthenticated } from './authorize.ts'

export interface ScopedClaims {
  namespace: string
  sandbox: string
  sandboxUid: string
  port: number
  method: string
  path: string
  /** Seconds since the epoch: the first at which the token is not good any more. */
  expires: number
}

const VERSION = 'v2'
/** Signed with the claims, so that no signature made for anything else is one of a token. */
const SIGNING_CONTEXT = `agent-sandbox/scoped-token/${VERSION}.`
const KEY_ID = /^[A-Za-z0-9_-]{1,128}$/
const KEY_BYTES = 32
/** Longer ones are not looked at. */
const TOKEN_LIMIT = 16 * 1024

/**
 * Reads `{"keys":[{"kid":…,"publicKey":…}]}`, where public keys are raw and in base64url.
 *
 * @throws Error that says which entry is wrong and how
 */
export function parseVerificationKeys(text: string): ReadonlyMap<string, KeyObject> {
  const file = JSON.parse(text) as { keys?: { kid?: unknown; publicKey?: unknown }[] }
  const unknown = Object.keys(file).find((name) => name !== 'keys')
  if (unknown !== undefined) throw new Error(`the verification keys have an unknown field ${JSON.stringify(unknown)}`)
  if (!Array.isArray(file.keys) || file.keys.length === 0)
    throw new Error('the verification keys have to be {"keys":[…]} with at least one key')
  const keys = new Map<string, KeyObject>()
  for (const { kid, publicKey, ...rest } of file.keys) {
    const named = JSON.stringify(kid)
    const extra = Object.keys(rest)[0]
    if (extra !== undefined) throw new Error(`verification key ${named} has an unknown field ${JSON.stringify(extra)}`)
    if (typeof kid !== 'string' || !KEY_ID.test(kid))
      throw new Error(`verification key ${named}: the kid has to be 1 to 128 letters, digits, - and _`)
    if (keys.has(kid)) throw new Error(`verification key ${named} is there twice`)
    if (typeof publicKey !== 'string' || decodeBase64Url(publicKey)?.length !== KEY_BYTES)
      throw new Error(
        `verification key ${named}: the publicKey has to be ${KEY_BYTES} bytes in base64url without padding`,
      )
    keys.set(kid, createPublicKey({ format: 'jwk', key: { kty: 'OKP', crv: 'Ed25519', x: publicKey } }))
  }
  return keys
}

/** Makes a token. `privateKey` is an Ed25519 one. */
export function mintScopedToken(privateKey: KeyObject, keyId: string, claims: ScopedClaims): string {
  const method = claims.method.toUpperCase()
  const path = canonicalPath(claims.path)
  if (!KEY_ID.test(keyId)) throw new TypeError(`${JSON.stringify(keyId)} is no key ID`)
  if (path === undefined) throw new TypeError(`${JSON.stringify(claims.path)} is no absolute path`)
  const { namespace: ns, sandbox: name, sandboxUid: uid, port, expires: exp } = claims
  const payload = Buffer.from(JSON.stringify({ ns, name, uid, port, method, path, exp })).toString('base64url')
  const signature = sign(null, signedBytes(keyId, payload), privateKey).toString('base64url')
  return [VERSION, keyId, payload, signature].join('.')
}

/** Accepts requests with such a token for exactly what they do. `now` is in ms since the epoch. */
export function authorizeByScopedToken(keys: ReadonlyMap<string, KeyObject>, now: () => number): Authorize {
  return async (access) => {
    const claims = verified(bearerToken(access.headers) ?? '', keys)
    if (!claims || now() / 1000 >= claims.exp) throw unauthenticated()
    if (!covers(claims, access)) throw forbidden()
  }
}

interface WireClaims {
  ns: string
  name: string
  uid: string
  port: number
  method: string
  path: string
  exp: number
}

function covers(claims: WireClaims, access: Access): boolean {
  // An address names no Sandbox, and the token names one.
  if (access.headers['x-sandbox-pod-ip']) return false
  return (
    claims.uid !== '' &&
    claims.ns === access.namespace &&
    claims.name === access.sandbox &&
    claims.uid === access.sandboxUid &&
    claims.port === access.port &&
    claims.method === access.method &&
    claims.path === canonicalPath(access.path)
  )
}

function verified(token: string, keys: ReadonlyMap<string, KeyObject>): WireClaims | undefined {
  if (token.length > TOKEN_LIMIT) return undefined
  const [version, keyId = '', payload = '', signatureText = '', ...more] = token.split('.')
  const key = keys.get(keyId)
  const signature = decodeBase64Url(signatureText)
  if (version !== VERSION || more.length > 0 || !key || !signature) return undefined
  if (!verify(null, signedBytes(keyId, payload), key, signature)) return undefined
  const text = decodeBase64Url(payload)?.toString('utf8')
  // It is signed: whoever made it is trusted to have made it well, and is not trusted to have made it at all.
  return text === undefined ? undefined : (JSON.parse(text) as WireClaims)
}

function signedBytes(keyId: string, payload: string): Buffer {
  return Buffer.from(`${SIGNING_CONTEXT}${keyId}.${payload}`)
}

/** Undefined where the text is not exactly what its bytes are encoded as: no two texts are the same token. */
function decodeBase64Url(text: string): Buffer | undefined {
  const bytes = Buffer.from(text, 'base64url')
  return bytes.toString('base64url') === text ? bytes : undefined
}

const PATH = /^\/(?:[A-Za-z0-9\-._~!$&'()*+,;=:@/[\]]|%[0-9A-Fa-f]{2})*$/

/** The one spelling of a path that tokens and requests are compared by; undefined where it has none. */
function canonicalPath(path: string): string | undefined {
  if (!PATH.test(path)) return undefined
  return path.replaceAll(/%[0-9a-f]{2}/gi, (escape) => escape.toUpperCase())
}
