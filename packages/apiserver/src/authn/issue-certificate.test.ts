import { createPublicKey, generateKeyPairSync, X509Certificate } from 'node:crypto'
import { isIP } from 'node:net'
import { AsnConvert } from '@peculiar/asn1-schema'
import {
  BasicConstraints,
  Certificate,
  ExtendedKeyUsage,
  id_ce_basicConstraints,
  id_ce_extKeyUsage,
  id_ce_keyUsage,
  KeyUsage,
} from '@peculiar/asn1-x509'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { type IssueCertificateOptions, issueCertificate } from './issue-certificate.ts'

const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'prime256v1' })
const publicKey = createPublicKey(privateKey)
const issuer = { subject: { commonName: 'ca' }, privateKey, publicKey }
const DAY = 24 * 60 * 60 * 1000

function issue(options: Partial<IssueCertificateOptions> = {}): X509Certificate {
  const now = Date.UTC(2026, 10, 30)
  const all = { subject: { commonName: 'someone' }, usage: 'client', notBefore: now, notAfter: now + DAY } as const
  return new X509Certificate(issueCertificate({ ...all, publicKey, issuer, ...options }))
}

/** As another implementation of ASN.1 reads it. */
function read(certificate: X509Certificate): Certificate {
  return AsnConvert.parse(certificate.raw, Certificate)
}

describe('a certificate', () => {
  test('is what another implementation writes of what it reads, whoever it is for', () => {
    const texts = fc.string({ unit: 'binary', maxLength: 200 })
    const hosts = fc.oneof(fc.domain(), fc.ipV4(), fc.ipV6())
    const options = fc.record({
      subject: fc.record({ commonName: texts, organizations: fc.array(texts, { maxLength: 5 }) }),
      usage: fc.constantFrom('authority', 'server', 'client'),
      hosts: fc.array(hosts, { maxLength: 20 }),
    })
    fc.assert(
      fc.property(options, (given) => {
        const certificate = issue(given)
        const parsed = read(certificate)
        expect(Buffer.from(AsnConvert.serialize(parsed)).equals(certificate.raw)).toBe(true)
        const names = parsed.tbsCertificate.subject.flatMap((set) => [...set].map(({ value }) => value.toString()))
        expect(names).toEqual([...given.subject.organizations, given.subject.commonName])
        expect(certificate.verify(publicKey)).toBe(true)
        for (const host of given.hosts)
          expect(isIP(host) === 0 ? certificate.checkHost(host) : certificate.checkIP(host)).toBeDefined()
      }),
    )
  })

  test.each([
    ['authority', { cA: true, pathLenConstraint: 0 }, ['digitalSignature', 'keyCertSign', 'crlSign'], undefined],
    ['server', { cA: false }, ['digitalSignature'], ['1.3.6.1.5.5.7.3.1']],
    ['client', { cA: false }, ['digitalSignature'], ['1.3.6.1.5.5.7.3.2']],
  ] as const)('of the usage %s may be used for that alone', (usage, constraints, keyUsage, purposes) => {
    const { extensions = [] } = read(issue({ usage })).tbsCertificate
    const of = <T>(id: string, type: new () => T): T | undefined => {
      const found = extensions.find(({ extnID }) => extnID === id)
      return found && AsnConvert.parse(found.extnValue.buffer, type)
    }
    expect(of(id_ce_basicConstraints, BasicConstraints)).toMatchObject(constraints)
    expect(of(id_ce_keyUsage, KeyUsage)?.toJSON().sort()).toEqual([...keyUsage].sort())
    expect(of(id_ce_extKeyUsage, ExtendedKeyUsage)?.map(String)).toEqual(purposes)
  })

  test.each([
    ['1999-12-31T23:59:59.999Z', '1999-12-31T23:59:59.000Z'],
    ['2049-12-31T23:59:59.000Z', '2049-12-31T23:59:59.000Z'],
    ['2050-01-01T00:00:00.000Z', '2050-01-01T00:00:00.000Z'],
  ])('that ends at %s says so', (asked, said) => {
    const certificate = issue({ notBefore: 0, notAfter: Date.parse(asked) })
    expect([certificate.validFromDate.toISOString(), certificate.validToDate.toISOString()]).toEqual([
      '1970-01-01T00:00:00.000Z',
      said,
    ])
    // Which of the two types of time it is, is not for the writer to choose.
    expect(Buffer.from(AsnConvert.serialize(read(certificate))).equals(certificate.raw)).toBe(true)
  })

  test.each([
    ['::1', '0:0:0:0:0:0:0:1'],
    ['::', '0:0:0:0:0:0:0:0'],
    ['fe80::1%eth0', 'FE80:0:0:0:0:0:0:1'],
    ['::ffff:10.0.0.7', '0:0:0:0:0:FFFF:A00:7'],
    ['2001:db8:1:2:3:4:5:6', '2001:DB8:1:2:3:4:5:6'],
    ['2001:db8::', '2001:DB8:0:0:0:0:0:0'],
  ])('answers for %s', (host, said) => {
    expect(issue({ hosts: [host] }).subjectAltName).toBe(`IP Address:${said}`)
  })
})
