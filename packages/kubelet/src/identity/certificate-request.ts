/** PKCS #10: asks an authority for a certificate about a key that it never sees. */
import { createPublicKey, type KeyObject, sign } from 'node:crypto'
import { isIPv4 } from 'node:net'

export interface CertificateRequestOptions {
  commonName: string
  organization: string
  /** DNS names and IPv4 addresses. */
  hosts?: readonly string[]
  /** P-256, private. */
  key: KeyObject
}

const TAG = { integer: 0x02, bits: 0x03, octets: 0x04, id: 0x06, utf8: 0x0c, sequence: 0x30, set: 0x31 } as const
const ID = {
  commonName: '2.5.4.3',
  organization: '2.5.4.10',
  extensionRequest: '1.2.840.113549.1.9.14',
  subjectAltName: '2.5.29.17',
  ecdsaWithSha256: '1.2.840.10045.4.3.2',
} as const
/** Context-specific: a request's attributes; in a name, DNS and IP. */
const ATTRIBUTES = 0xa0
const DNS_NAME = 0x82
const IP_ADDRESS = 0x87

/** As PEM. */
export function certificateRequest({ commonName, organization, hosts = [], key }: CertificateRequestOptions): string {
  const subject = der(TAG.sequence, attribute(ID.organization, organization), attribute(ID.commonName, commonName))
  const publicKey = createPublicKey(key).export({ type: 'spki', format: 'der' })
  const attributes = der(ATTRIBUTES, ...(hosts.length > 0 ? [alternativeNames(hosts)] : []))
  const asked = der(TAG.sequence, der(TAG.integer, Buffer.of(0)), subject, publicKey, attributes)
  const signature = Buffer.concat([Buffer.of(0), sign('sha256', asked, key)])
  const algorithm = der(TAG.sequence, identifier(ID.ecdsaWithSha256))
  const lines = der(TAG.sequence, asked, algorithm, der(TAG.bits, signature))
    .toString('base64')
    .match(/.{1,64}/g)
  return `-----BEGIN CERTIFICATE REQUEST-----\n${(lines ?? []).join('\n')}\n-----END CERTIFICATE REQUEST-----\n`
}

function alternativeNames(hosts: readonly string[]): Buffer {
  const names = hosts.map((host) =>
    isIPv4(host)
      ? der(IP_ADDRESS, Buffer.from(host.split('.').map(Number)))
      : der(DNS_NAME, Buffer.from(host, 'latin1')),
  )
  const extension = der(TAG.sequence, identifier(ID.subjectAltName), der(TAG.octets, der(TAG.sequence, ...names)))
  return der(TAG.sequence, identifier(ID.extensionRequest), der(TAG.set, der(TAG.sequence, extension)))
}

function attribute(id: string, text: string): Buffer {
  return der(TAG.set, der(TAG.sequence, identifier(id), der(TAG.utf8, Buffer.from(text))))
}

/** The first two numbers share a byte; of the others each takes seven bits a byte. */
function identifier(text: string): Buffer {
  const [first = 0, second = 0, ...rest] = text.split('.').map(Number)
  const bytes = [first * 40 + second]
  for (const number of rest) {
    const sevens = [number & 0x7f]
    for (let left = number >>> 7; left > 0; left >>>= 7) sevens.unshift((left & 0x7f) | 0x80)
    bytes.push(...sevens)
  }
  return der(TAG.id, Buffer.from(bytes))
}

function der(tag: number, ...content: readonly Buffer[]): Buffer {
  const body = Buffer.concat(content)
  return Buffer.concat([Buffer.of(tag), lengthOf(body.length), body])
}

function lengthOf(length: number): Buffer {
  if (length < 0x80) return Buffer.of(length)
  const bytes: number[] = []
  for (let left = length; left > 0; left >>>= 8) bytes.unshift(left & 0xff)
  return Buffer.of(0x80 | bytes.length, ...bytes)
}
