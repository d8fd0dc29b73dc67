/**
 * Scoped tokens, so that an agent can be handed a key to its own sandbox and to nothing else. Version 2,
 * `v2.KEY.CLAIMS.SIGNATURE`, is good for one port, method and path of one Sandbox until it ends; it is signed with Ed25519,
 * and the router has public keys only. Version 1, `v1.CLAIMS.SIGNATURE`, is good for all of the Sandboxes of one name, one
 * after the other, and is signed by HMAC with a secret that the router shares: for those who have it still.
 */
import { createHmac, createPublicKey, type KeyObject, sign, timingSafeEqual, verify } from 'node:crypto'
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

/** Signed with the claims, so that no signature made for anything else is one of a token. */
const SIGNING_CONTEXT = 'agent-sandbox/scoped-token/'
const KEY_ID = /^[A-Za-z0-9_-]{1,128}$/
const KEY_BYTES = 32
const SECRET_BYTES = 32
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

/**
 * Reads the secret of version 1, of which white space around it is no part.
 *
 * @throws Error where it is short enough to be guessed
 */
export function parseSharedSecret(content: Buffer): Buffer {
  const secret = Buffer.from(content.toString('latin1').replace(/^[\t-\r ]+|[\t-\r ]+$/g, ''), 'latin1')
  if (secret.length >= SECRET_BYTES) return secret
  throw new Error(
    `the secret has to have at least ${SECRET_BYTES} bytes without the space around it, and has ${secret.length}`,
  )
}

/** Makes a token of version 2. `privateKey` is an Ed25519 one. */
export function mintScopedToken(privateKey: KeyObject, keyId: string, claims: ScopedClaims): string {
  const method = claims.method.toUpperCase()
  const path = canonicalPath(claims.path)
  if (!KEY_ID.test(keyId)) throw new TypeError(`${JSON.stringify(keyId)} is no key ID`)
  if (path === undefined) throw new TypeError(`${JSON.stringify(claims.path)} is no absolute path`)
  const { namespace: ns, sandbox: name, sandboxUid: uid, port, expires: exp } = claims
  const payload = Buffer.from(JSON.stringify({ ns, name, uid, port, method, path, exp })).toString('base64url')
  const signature = sign(null, signedBytes(keyId, payload), privateKey).toString('base64url')
  return ['v2', keyId, payload, signature].join('.')
}

export interface ScopedTokenKeys {
  /** Of version 2, by their IDs. */
  keys: ReadonlyMap<string, KeyObject>
  /** Of version 1, where that is taken at all. */
  shared?: {
    secret: Buffer
    /** The first moment at which it is not taken any more, ms since the epoch; undefined: none. */
    until: number | undefined
  }
}

/** Accepts requests with such a token for exactly what they do. `now` is in ms since the epoch. */
export function authorizeByScopedToken({ keys, shared }: ScopedTokenKeys, now: () => number): Authorize {
  return async (access) => {
    const token = bearerToken(access.headers) ?? ''
    if (token.length > TOKEN_LIMIT) throw unauthenticated()
    const isFirst = token.startsWith('v1.')
    const takesFirst = shared !== undefined && (shared.until === undefined || now() < shared.until)
    if (isFirst) {
      const claims = takesFirst ? verifiedFirst(token, shared.secret) : undefined
      if (!claims || now() / 1000 >= claims.exp) throw unauthenticated()
      if (!coversFirst(claims, access)) throw forbidden()
      return holderOf(claims)
    }
    const claims = verified(token, keys)
    if (!claims || now() / 1000 >= claims.exp) throw unauthenticated()
    if (!covers(claims, access)) throw forbidden()
    return holderOf(claims)
  }
}

/** Tokens say what for and not whose: who reaches one Sandbox counts as one client. */
function holderOf({ ns, name }: FirstClaims): string {
  return `sandbox ${ns}/${name}`
}

interface FirstClaims {
  ns: string
  name: string
  exp: number
}

interface WireClaims extends FirstClaims {
  uid: string
  port: number
  method: string
  path: string
}

/** It names no more than this, so that a request with it may not say more of what it means either. */
function coversFirst({ ns, name }: FirstClaims, { headers, namespace, sandbox }: Access): boolean {
  if (headers['x-sandbox-pod-ip'] || headers['x-sandbox-uid']) return false
  return ns === namespace && name === sandbox
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
  const [version, keyId = '', payload = '', signatureText = '', ...more] = token.split('.')
  const key = keys.get(keyId)
  const signature = decodeBase64Url(signatureText)
  if (version !== 'v2' || more.length > 0 || !key || !signature) return undefined
  if (!verify(null, signedBytes(keyId, payload), key, signature)) return undefined
  return claimsOf<WireClaims>(payload, {
    ns: 'string',
    name: 'string',
    uid: 'string',
    port: 'number',
    method: 'string',
    path: 'string',
    exp: 'number',
  })
}

function verifiedFirst(token: string, secret: Buffer): FirstClaims | undefined {
  const [, payload = '', signatureText = '', ...more] = token.split('.')
  const signature = decodeBase64Url(signatureText)
  const right = createHmac('sha256', secret).update(`${SIGNING_CONTEXT}v1.${payload}`).digest()
  if (more.length > 0 || signature?.length !== right.length || !timingSafeEqual(signature, right)) return undefined
  return claimsOf<FirstClaims>(payload, { ns: 'string', name: 'string', exp: 'number' })
}

/** Whoever signed it is trusted to mean what is there, and not to have left nothing out: a token without an end would have none. */
function claimsOf<C extends object>(payload: string, types: Readonly<Record<keyof C, string>>): C | undefined {
  try {
    const claims = JSON.parse(decodeBase64Url(payload)?.toString('utf8') ?? '') as C
    const complete = Object.entries(types).every(([name, type]) => typeof claims[name as keyof C] === type)
    return complete ? claims : undefined
  } catch {
    return undefined
  }
}

function signedBytes(keyId: string, payload: string): Buffer {
  return Buffer.from(`${SIGNING_CONTEXT}v2.${keyId}.${payload}`)
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
