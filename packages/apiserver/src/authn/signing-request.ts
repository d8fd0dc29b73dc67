/**
 * Reads PKCS #10 requests, whose signatures say that who asks has the key. Everything in a request is its sender's: lengths
 * have bounds, and keys are of the kinds and sizes that are quick to verify with. By hand, as certificates are made.
 */
import { createPublicKey, type KeyObject, verify } from 'node:crypto'

export interface SigningRequest {
  /** Empty where it names none. */
  commonName: string
  organizations: readonly string[]
  /** What else its subject says. */
  otherAttributes: readonly string[]
  /** Of its alternative names. */
  alternativeNames: ReadonlySet<'DNS' | 'Email' | 'IP' | 'URI'>
  publicKey: KeyObject
}

/** A request with an RSA key of 8192 bits has less than 4 KiB. */
const MOST_BYTES = 64 << 10
const RSA_BITS = { least: 1024, most: 8192 }
const MOST_EXPONENT = 2n ** 32n

const TAG = { integer: 0x02, bits: 0x03, octets: 0x04, id: 0x06, sequence: 0x30, set: 0x31, attributes: 0xa0 } as const
/** UTF8String, NumericString, PrintableString, IA5String. */
const TEXTS: ReadonlySet<number> = new Set([0x0c, 0x12, 0x13, 0x16])
/** Of identifiers, as they are encoded. */
const COMMON_NAME = '550403'
const ORGANIZATION = '55040a'
const EXTENSION_REQUEST = '2a864886f70d01090e'
const ALTERNATIVE_NAME = '551d11'

const ALGORITHMS: Readonly<Record<string, { key: string; hash: string | null }>> = {
  '2a8648ce3d040302': { key: 'ec', hash: 'sha256' },
  '2a8648ce3d040303': { key: 'ec', hash: 'sha384' },
  '2a8648ce3d040304': { key: 'ec', hash: 'sha512' },
  '2a864886f70d01010b': { key: 'rsa', hash: 'sha256' },
  '2a864886f70d01010c': { key: 'rsa', hash: 'sha384' },
  '2a864886f70d01010d': { key: 'rsa', hash: 'sha512' },
  '2b6570': { key: 'ed25519', hash: null },
}
const CURVES: ReadonlySet<string | undefined> = new Set(['prime256v1', 'secp384r1', 'secp521r1'])
const NAME_KINDS = { 0x81: 'Email', 0x82: 'DNS', 0x86: 'URI', 0x87: 'IP' } as const

/** @param text the first PEM block counts. Throws an Error that says what is wrong with it. */
export function parseSigningRequest(text: string): SigningRequest {
  const block = /-----BEGIN ([A-Z0-9 ]+)-----\s([A-Za-z0-9+/=\s]+)-----END \1-----/.exec(text.slice(0, 2 * MOST_BYTES))
  if (block?.[1] !== 'CERTIFICATE REQUEST') throw new Error('PEM block type must be CERTIFICATE REQUEST')
  const bytes = Buffer.from(block[2] ?? '', 'base64')
  if (bytes.length > MOST_BYTES) throw new Error(`it has ${bytes.length} bytes, and may have ${MOST_BYTES}`)
  const [request, ...behind] = elementsOf(bytes)
  if (behind.length > 0) throw new Error('there is something behind the request')
  const [asked, algorithm, signature] = parts(request, TAG.sequence)
  const [, subject, key, attributes] = parts(asked, TAG.sequence)
  const publicKey = publicKeyOf(key)
  checkSignature(publicKey, { asked, algorithm, signature })
  return { ...subjectOf(subject), alternativeNames: alternativeNamesOf(attributes), publicKey }
}

interface Element {
  tag: number
  content: Buffer
  /** With its tag and length. */
  whole: Buffer
}

/** DER: lengths are definite and as short as they can be. */
function elementsOf(bytes: Buffer): Element[] {
  const elements: Element[] = []
  for (let at = 0; at < bytes.length; ) {
    const tag = bytes[at] ?? 0
    const first = bytes[at + 1]
    if (first === undefined || (tag & 0x1f) === 0x1f) throw malformed()
    const count = first < 0x80 ? 0 : first & 0x7f
    const begin = at + 2 + count
    if (first === 0x80 || count > 3 || begin > bytes.length) throw malformed()
    const length = count === 0 ? first : bytes.readUIntBE(at + 2, count)
    if (count > 0 && length < (count === 1 ? 0x80 : 2 ** (8 * (count - 1)))) throw malformed()
    if (begin + length > bytes.length) throw malformed()
    elements.push({ tag, content: bytes.subarray(begin, begin + length), whole: bytes.subarray(at, begin + length) })
    at = begin + length
  }
  return elements
}

function malformed(): Error {
  return new Error('it is not the DER of a certificate request')
}

function parts(element: Element | undefined, tag: number): Element[] {
  if (element?.tag !== tag) throw malformed()
  return elementsOf(element.content)
}

function identifierOf(element: Element | undefined): string {
  if (element?.tag !== TAG.id) throw malformed()
  return element.content.toString('hex')
}

function publicKeyOf(element: Element | undefined): KeyObject {
  if (element?.tag !== TAG.sequence) throw malformed()
  let key: KeyObject
  try {
    key = createPublicKey({ key: element.whole, format: 'der', type: 'spki' })
  } catch (cause) {
    throw new Error('its public key cannot be read', { cause })
  }
  const { modulusLength = 0, publicExponent = 0n, namedCurve } = key.asymmetricKeyDetails ?? {}
  switch (key.asymmetricKeyType) {
    case 'ed25519':
      return key
    case 'ec':
      if (!CURVES.has(namedCurve)) throw new Error('its curve is none of P-256, P-384 and P-521')
      return key
    case 'rsa':
      if (modulusLength < RSA_BITS.least || modulusLength > RSA_BITS.most || publicExponent > MOST_EXPONENT)
        throw new Error(`its RSA key has not ${RSA_BITS.least} to ${RSA_BITS.most} bits`)
      return key
    default:
      throw new Error('its key is none of ECDSA, RSA and Ed25519')
  }
}

interface Signed {
  asked: Element | undefined
  algorithm: Element | undefined
  signature: Element | undefined
}

function checkSignature(key: KeyObject, { asked, algorithm, signature }: Signed): void {
  const [id] = parts(algorithm, TAG.sequence)
  const known = ALGORITHMS[identifierOf(id)]
  if (!known || known.key !== key.asymmetricKeyType)
    throw new Error('its signature is of an algorithm that is not known')
  // A bit string says first how many bits of its last byte do not count.
  if (!asked || signature?.tag !== TAG.bits || signature.content[0] !== 0) throw malformed()
  if (!verify(known.hash, asked.whole, key, signature.content.subarray(1)))
    throw new Error('its signature is not of its key')
}

function subjectOf(name: Element | undefined): Omit<SigningRequest, 'alternativeNames' | 'publicKey'> {
  const found = parts(name, TAG.sequence)
    .flatMap((set) => parts(set, TAG.set))
    .map((each) => {
      const [id, value] = parts(each, TAG.sequence)
      return { id: identifierOf(id), text: textOf(value) }
    })
  const of = (id: string): string[] => found.flatMap((each) => (each.id === id ? [each.text] : []))
  const [commonName = '', ...others] = of(COMMON_NAME)
  // Two common names are an attempt to be two people.
  if (others.length > 0) throw new Error('its subject has more than one common name')
  const otherAttributes = found.filter(({ id }) => id !== COMMON_NAME && id !== ORGANIZATION).map(({ text }) => text)
  return { commonName, organizations: of(ORGANIZATION), otherAttributes }
}

function textOf(element: Element | undefined): string {
  if (!element || !TEXTS.has(element.tag)) throw new Error('its subject has text of a type that is not known')
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(element.content)
  } catch {
    throw new Error('its subject is not UTF-8')
  }
}

function alternativeNamesOf(attributes: Element | undefined): SigningRequest['alternativeNames'] {
  const kinds = new Set<'DNS' | 'Email' | 'IP' | 'URI'>()
  if (!attributes) return kinds
  for (const attribute of parts(attributes, TAG.attributes)) {
    const [id, values] = parts(attribute, TAG.sequence)
    if (identifierOf(id) !== EXTENSION_REQUEST) continue
    for (const extension of parts(values, TAG.set).flatMap((each) => parts(each, TAG.sequence))) {
      const fields = parts(extension, TAG.sequence)
      const content = fields.at(-1)
      if (identifierOf(fields[0]) !== ALTERNATIVE_NAME || content?.tag !== TAG.octets) continue
      for (const { tag } of parts(elementsOf(content.content)[0], TAG.sequence)) {
        const kind = NAME_KINDS[tag as keyof typeof NAME_KINDS]
        if (kind) kinds.add(kind)
      }
    }
  }
  return kinds
}
