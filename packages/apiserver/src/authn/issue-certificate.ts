/**
 * Makes X.509 certificates. Imported only when one is due: the ASN.1 library takes about 50 ms to load (the whole
 * `@peculiar/x509` 140 ms), and a start that finds its certificates in place should not pay for it.
 */
import { createHash, type KeyObject, randomBytes, sign } from 'node:crypto'
import { isIP } from 'node:net'
import { AsnConvert, OctetString } from '@peculiar/asn1-schema'
import {
  AlgorithmIdentifier,
  AttributeTypeAndValue,
  AttributeValue,
  AuthorityKeyIdentifier,
  BasicConstraints,
  Certificate,
  ExtendedKeyUsage,
  Extension,
  Extensions,
  GeneralName,
  id_ce_authorityKeyIdentifier,
  id_ce_basicConstraints,
  id_ce_extKeyUsage,
  id_ce_keyUsage,
  id_ce_subjectAltName,
  id_ce_subjectKeyIdentifier,
  id_kp_clientAuth,
  id_kp_serverAuth,
  KeyIdentifier,
  KeyUsage,
  KeyUsageFlags,
  Name,
  RelativeDistinguishedName,
  SubjectAlternativeName,
  SubjectKeyIdentifier,
  SubjectPublicKeyInfo,
  TBSCertificate,
  Validity,
  Version,
} from '@peculiar/asn1-x509'

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

const ECDSA_WITH_SHA256 = '1.2.840.10045.4.3.2'
const COMMON_NAME = '2.5.4.3'
const ORGANIZATION = '2.5.4.10'

/** Issues one certificate, signed with the issuer's P-256 key, as PEM. */
export function issueCertificate(options: IssueCertificateOptions): string {
  const signatureAlgorithm = new AlgorithmIdentifier({ algorithm: ECDSA_WITH_SHA256 })
  const tbsCertificate = new TBSCertificate({
    version: Version.v3,
    serialNumber: serialNumber(),
    signature: signatureAlgorithm,
    issuer: distinguishedName(options.issuer.subject),
    validity: new Validity({ notBefore: new Date(options.notBefore), notAfter: new Date(options.notAfter) }),
    subject: distinguishedName(options.subject),
    subjectPublicKeyInfo: AsnConvert.parse(spki(options.publicKey), SubjectPublicKeyInfo),
    extensions: new Extensions(extensions(options)),
  })
  const signed = Buffer.from(AsnConvert.serialize(tbsCertificate))
  const certificate = new Certificate({
    tbsCertificate,
    signatureAlgorithm,
    signatureValue: arrayBuffer(sign('sha256', signed, options.issuer.privateKey)),
  })
  return pem(Buffer.from(AsnConvert.serialize(certificate)))
}

function extensions({ usage, publicKey, issuer, hosts }: IssueCertificateOptions): Extension[] {
  const flags =
    usage === 'authority'
      ? KeyUsageFlags.digitalSignature | KeyUsageFlags.keyCertSign | KeyUsageFlags.cRLSign
      : KeyUsageFlags.digitalSignature
  const made = [
    // Strict verifiers (Python 3.13) want both marked critical and both key identifiers present.
    extension(
      id_ce_basicConstraints,
      new BasicConstraints(usage === 'authority' ? { cA: true, pathLenConstraint: 0 } : {}),
      true,
    ),
    extension(id_ce_keyUsage, new KeyUsage(flags), true),
    extension(id_ce_subjectKeyIdentifier, new SubjectKeyIdentifier(keyIdentifier(publicKey))),
    extension(
      id_ce_authorityKeyIdentifier,
      new AuthorityKeyIdentifier({ keyIdentifier: new KeyIdentifier(keyIdentifier(issuer.publicKey)) }),
    ),
  ]
  if (usage !== 'authority') {
    const purpose = usage === 'server' ? id_kp_serverAuth : id_kp_clientAuth
    made.push(extension(id_ce_extKeyUsage, new ExtendedKeyUsage([purpose])))
  }
  if (hosts && hosts.length > 0) {
    made.push(extension(id_ce_subjectAltName, new SubjectAlternativeName(hosts.map(generalName))))
  }
  return made
}

function extension(id: string, value: object, critical = false): Extension {
  return new Extension({ extnID: id, critical, extnValue: new OctetString(AsnConvert.serialize(value)) })
}

function generalName(host: string): GeneralName {
  return isIP(host) === 0 ? new GeneralName({ dNSName: host }) : new GeneralName({ iPAddress: host })
}

function distinguishedName({ commonName, organizations = [] }: CertificateSubject): Name {
  return new Name([
    ...organizations.map((organization) => attribute(ORGANIZATION, organization)),
    attribute(COMMON_NAME, commonName),
  ])
}

function attribute(type: string, text: string): RelativeDistinguishedName {
  return new RelativeDistinguishedName([
    new AttributeTypeAndValue({ type, value: new AttributeValue({ utf8String: text }) }),
  ])
}

function serialNumber(): ArrayBuffer {
  const bytes = randomBytes(16)
  // A DER integer is signed: the number has to stay positive, and its first byte other than zero to be minimal.
  bytes[0] = (bytes.readUInt8(0) & 0x7f) | 0x40
  return arrayBuffer(bytes)
}

function keyIdentifier(publicKey: KeyObject): ArrayBuffer {
  return arrayBuffer(createHash('sha1').update(spki(publicKey)).digest())
}

function spki(publicKey: KeyObject): Buffer {
  return publicKey.export({ type: 'spki', format: 'der' })
}

function arrayBuffer(bytes: Uint8Array): ArrayBuffer {
  return new Uint8Array(bytes).buffer
}

function pem(der: Buffer): string {
  const lines = der.toString('base64').match(/.{1,64}/g) ?? []
  return `-----BEGIN CERTIFICATE-----\n${lines.join('\n')}\n-----END CERTIFICATE-----\n`
}
