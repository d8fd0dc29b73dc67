/**
 * Makes X.509 certificates (RFC 5280), of the few forms that a cluster issues. By hand, as certificate requests are read: an
 * ASN.1 library was a hundred modules, which took a seventh of a first start to load and to encode five certificates with.
 */
import { createHash, type KeyObject, randomBytes, sign } from 'node:crypto'
import { isIP, isIPv4 } from 'node:net'
import { der } from './der.ts'

export interface CertificateSubject {
  commonName: string
  /** What Kubernetes reads as groups. */
  organizations?: readonly string[]
}

export interface IssueCertificateOptions {
  subject: CertificateSubject
  usage: 'authority' | 'server' | 'client'
  /** DNS names and IP addresses that a server answers for. */
  hosts?: readonly string[]
  publicKey: KeyObject
  /** ms since the epoch; certificates count in whole seconds. */
  notBefore: number
  notAfter: number
  issuer: { subject: CertificateSubject; privateKey: KeyObject; publicKey: KeyObject }
}

const TAG = {
  boolean: 0x01,
  integer: 0x02,
  bits: 0x03,
  octets: 0x04,
  id: 0x06,
  utf8: 0x0c,
  utcTime: 0x17,
  generalizedTime: 0x18,
  sequence: 0x30,
  set: 0x31,
} as const
/** Fields that have no tag of a type, by their number; `fields` hold others. */
const context = { field: (number: number) => 0x80 | number, fields: (number: number) => 0xa0 | number }

const ID = {
  commonName: id('550403'),
  organization: id('55040a'),
  subjectKeyIdentifier: id('551d0e'),
  keyUsage: id('551d0f'),
  subjectAltName: id('551d11'),
  basicConstraints: id('551d13'),
  authorityKeyIdentifier: id('551d23'),
  extendedKeyUsage: id('551d25'),
  serverAuth: id('2b06010505070301'),
  clientAuth: id('2b06010505070302'),
} as const
const ECDSA_WITH_SHA256 = sequence(id('2a8648ce3d040302'))
const VERSION_3 = der(context.fields(0), der(TAG.integer, Buffer.of(2)))
const TRUE = der(TAG.boolean, Buffer.of(0xff))

/** Issues one certificate, signed with the issuer's P-256 key, as PEM. */
export function issueCertificate(options: IssueCertificateOptions): string {
  const signed = sequence(
    VERSION_3,
    serialNumber(),
    ECDSA_WITH_SHA256,
    distinguishedName(options.issuer.subject),
    sequence(time(options.notBefore), time(options.notAfter)),
    distinguishedName(options.subject),
    spki(options.publicKey),
    der(context.fields(3), sequence(...extensions(options))),
  )
  return pem(sequence(signed, ECDSA_WITH_SHA256, bits(sign('sha256', signed, options.issuer.privateKey))))
}

function extensions({ usage, publicKey, issuer, hosts = [] }: IssueCertificateOptions): Buffer[] {
  const isAuthority = usage === 'authority'
  return [
    // Strict verifiers (Python 3.13) want both marked critical and both key identifiers present.
    extension(ID.basicConstraints, isAuthority ? sequence(TRUE, der(TAG.integer, Buffer.of(0))) : sequence(), true),
    // digitalSignature is the first bit; keyCertSign and cRLSign are the sixth and the seventh.
    extension(ID.keyUsage, isAuthority ? bits(Buffer.of(0b10000110), 1) : bits(Buffer.of(0b10000000), 7), true),
    extension(ID.subjectKeyIdentifier, der(TAG.octets, keyIdentifier(publicKey))),
    extension(ID.authorityKeyIdentifier, sequence(der(context.field(0), keyIdentifier(issuer.publicKey)))),
    ...(isAuthority
      ? []
      : [extension(ID.extendedKeyUsage, sequence(usage === 'server' ? ID.serverAuth : ID.clientAuth))]),
    ...(hosts.length > 0 ? [extension(ID.subjectAltName, sequence(...hosts.map(generalName)))] : []),
  ]
}

function extension(type: Buffer, value: Buffer, critical = false): Buffer {
  return sequence(type, ...(critical ? [TRUE] : []), der(TAG.octets, value))
}

function generalName(host: string): Buffer {
  return isIP(host) === 0
    ? der(context.field(2), Buffer.from(host, 'latin1'))
    : der(context.field(7), addressBytes(host))
}

/** In the order of the network. */
function addressBytes(address: string): Buffer {
  if (isIPv4(address)) return Buffer.from(address.split('.').map(Number))
  // As URLs have it: eight groups of hexadecimal digits, of which one run of zeros may be left out. On what link it is does
  // not belong to an address.
  const [plain] = address.split('%')
  const { hostname } = new URL(`http://[${plain}]`)
  const [before = [], after = []] = hostname
    .slice(1, -1)
    .split('::')
    .map((groups) => groups.split(':').filter((group) => group !== ''))
  const groups = [...before, ...Array<string>(8 - before.length - after.length).fill('0'), ...after]
  return Buffer.from(groups.map((group) => group.padStart(4, '0')).join(''), 'hex')
}

function distinguishedName({ commonName, organizations = [] }: CertificateSubject): Buffer {
  return sequence(
    ...organizations.map((organization) => attribute(ID.organization, organization)),
    attribute(ID.commonName, commonName),
  )
}

function attribute(type: Buffer, text: string): Buffer {
  return der(TAG.set, sequence(type, der(TAG.utf8, Buffer.from(text))))
}

/** In two digits of the year for as long as these say which (RFC 5280, 4.1.2.5). */
function time(ms: number): Buffer {
  const [digits = ''] = new Date(ms).toISOString().replace(/[-:T]/g, '').split('.')
  return Number(digits.slice(0, 4)) < 2050
    ? der(TAG.utcTime, Buffer.from(`${digits.slice(2)}Z`))
    : der(TAG.generalizedTime, Buffer.from(`${digits}Z`))
}

function serialNumber(): Buffer {
  const bytes = randomBytes(16)
  // An integer is signed: the number has to stay positive, and its first byte other than zero to be minimal.
  bytes[0] = (bytes.readUInt8(0) & 0x7f) | 0x40
  return der(TAG.integer, bytes)
}

function keyIdentifier(publicKey: KeyObject): Buffer {
  return createHash('sha1').update(spki(publicKey)).digest()
}

function spki(publicKey: KeyObject): Buffer {
  return publicKey.export({ type: 'spki', format: 'der' })
}

function sequence(...parts: readonly Buffer[]): Buffer {
  return der(TAG.sequence, ...parts)
}

/** @param encoded hexadecimal */
function id(encoded: string): Buffer {
  return der(TAG.id, Buffer.from(encoded, 'hex'))
}

/** @param unused how many bits of the last byte do not count */
function bits(content: Buffer, unused = 0): Buffer {
  return der(TAG.bits, Buffer.of(unused), content)
}

function pem(certificate: Buffer): string {
  const lines = certificate.toString('base64').match(/.{1,64}/g) ?? []
  return `-----BEGIN CERTIFICATE-----\n${lines.join('\n')}\n-----END CERTIFICATE-----\n`
}
