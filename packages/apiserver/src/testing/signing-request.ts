/** For tests: makes PKCS #10 requests, of which any part may be wrong. */
import { createHash, createPublicKey, generateKeyPairSync, type KeyObject, sign } from 'node:crypto'
import { AsnConvert, OctetString } from '@peculiar/asn1-schema'
import {
  AttributeTypeAndValue,
  AttributeValue,
  Extension,
  Extensions,
  type GeneralName,
  id_ce_subjectAltName,
  Name,
  RelativeDistinguishedName,
  SubjectAlternativeName,
} from '@peculiar/asn1-x509'
import { der } from '../authn/der.ts'

export interface SigningRequestOptions {
  /** Identifier and text of each attribute. */
  subject?: readonly (readonly [id: string, text: string])[]
  alternativeNames?: readonly GeneralName[]
  key?: KeyObject
  /** DER of the algorithm; that of the key unless given. */
  algorithm?: Buffer
  /** Changes the signature. */
  forge?: boolean
}

export const COMMON_NAME = '2.5.4.3'
export const ORGANIZATION = '2.5.4.10'

const EXTENSION_REQUEST = Buffer.from('06092a864886f70d01090e', 'hex')
export const ALGORITHMS = {
  ec: Buffer.from('300a06082a8648ce3d040302', 'hex'),
  rsa: Buffer.from('300d06092a864886f70d01010b0500', 'hex'),
  ed25519: Buffer.from('300506032b6570', 'hex'),
} as const

export function newKey(): KeyObject {
  return generateKeyPairSync('ec', { namedCurve: 'prime256v1' }).privateKey
}

/** PEM. */
export function signingRequest(options: SigningRequestOptions = {}): string {
  const { subject = [[COMMON_NAME, 'alice']], alternativeNames = [], key = newKey(), forge = false } = options
  const type = key.asymmetricKeyType as keyof typeof ALGORITHMS
  const asked = der(
    0x30,
    Buffer.of(2, 1, 0),
    Buffer.from(AsnConvert.serialize(new Name(subject.map(attribute)))),
    createPublicKey(key).export({ type: 'spki', format: 'der' }),
    der(0xa0, ...(alternativeNames.length > 0 ? [extensionRequest(alternativeNames)] : [])),
  )
  const signed = forge ? createHash('sha256').update(asked).digest() : asked
  const signature = sign(type === 'ed25519' ? null : 'sha256', signed, key)
  const algorithm = options.algorithm ?? ALGORITHMS[type]
  return pem(der(0x30, asked, algorithm, der(3, Buffer.of(0), signature)))
}

export function pem(bytes: Buffer, label = 'CERTIFICATE REQUEST'): string {
  return `-----BEGIN ${label}-----\n${bytes.toString('base64').replace(/.{64}/g, '$&\n')}\n-----END ${label}-----\n`
}

function attribute([type, text]: readonly [string, string]): RelativeDistinguishedName {
  const value = new AttributeValue({ utf8String: text })
  return new RelativeDistinguishedName([new AttributeTypeAndValue({ type, value })])
}

function extensionRequest(names: readonly GeneralName[]): Buffer {
  const extnValue = new OctetString(AsnConvert.serialize(new SubjectAlternativeName([...names])))
  const extensions = new Extensions([new Extension({ extnID: id_ce_subjectAltName, extnValue })])
  return der(0x30, EXTENSION_REQUEST, der(0x31, Buffer.from(AsnConvert.serialize(extensions))))
}
