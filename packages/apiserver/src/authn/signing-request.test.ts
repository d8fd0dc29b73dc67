import { createPublicKey, generateKeyPairSync } from 'node:crypto'
import { GeneralName } from '@peculiar/asn1-x509'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { ALGORITHMS, COMMON_NAME, newKey, ORGANIZATION, pem, signingRequest } from '../testing/signing-request.ts'
import { der } from './der.ts'
import { parseSigningRequest } from './signing-request.ts'

const KEYS = [
  newKey(),
  generateKeyPairSync('ec', { namedCurve: 'secp521r1' }).privateKey,
  generateKeyPairSync('rsa', { modulusLength: 2048 }).privateKey,
  generateKeyPairSync('ed25519').privateKey,
]

test.each(KEYS.map((key) => [`${key.asymmetricKeyType} ${key.asymmetricKeyDetails?.namedCurve ?? ''}`, key] as const))(
  'a request is read whole (%s)',
  (_name, key) => {
    const text = signingRequest({
      key,
      subject: [
        [ORGANIZATION, 'developers'],
        [COMMON_NAME, 'Zoë'],
        [ORGANIZATION, 'testers'],
        ['2.5.4.6', 'AT'],
      ],
      alternativeNames: [new GeneralName({ dNSName: 'a.example' }), new GeneralName({ iPAddress: '10.0.0.1' })],
    })
    const { publicKey, ...rest } = parseSigningRequest(`something before\n${text}`)
    expect(rest).toEqual({
      commonName: 'Zoë',
      organizations: ['developers', 'testers'],
      otherAttributes: ['AT'],
      alternativeNames: new Set(['DNS', 'IP']),
    })
    expect(publicKey.equals(createPublicKey(key))).toBe(true)
  },
)

describe('is refused', () => {
  const bytes = Buffer.from(signingRequest().replace(/-----.*-----/g, ''), 'base64')
  test.each<[name: string, text: string, said: string]>([
    ['nothing', '', 'PEM block type must be CERTIFICATE REQUEST'],
    ['a certificate', pem(bytes, 'CERTIFICATE'), 'PEM block type must be CERTIFICATE REQUEST'],
    ['half of one', pem(bytes.subarray(0, bytes.length / 2)), 'it is not the DER of a certificate request'],
    ['more than one', pem(Buffer.concat([bytes, bytes])), 'there is something behind the request'],
    ['an empty one', pem(der(0x30)), 'it is not the DER of a certificate request'],
    ['a long one', pem(Buffer.alloc(70_000)), 'it has 70000 bytes, and may have 65536'],
    ["somebody else's signature", signingRequest({ forge: true }), 'its signature is not of its key'],
    [
      'a signature of another kind',
      signingRequest({ algorithm: ALGORITHMS.rsa }),
      'its signature is of an algorithm that is not known',
    ],
    [
      'a curve of others',
      signingRequest({ key: generateKeyPairSync('ec', { namedCurve: 'secp256k1' }).privateKey }),
      'its curve is none of P-256, P-384 and P-521',
    ],
    [
      'a small RSA key',
      signingRequest({ key: generateKeyPairSync('rsa', { modulusLength: 768 }).privateKey }),
      'its RSA key has not 1024 to 8192 bits',
    ],
    [
      'who wants to be two',
      signingRequest({
        subject: [
          [COMMON_NAME, 'alice'],
          [COMMON_NAME, 'bob'],
        ],
      }),
      'its subject has more than one common name',
    ],
  ])('%s', (_name, text, said) => {
    expect(() => parseSigningRequest(text)).toThrow(said)
  })
})

test('whatever byte is changed, what is read is refused with a word or is the same', () => {
  const text = signingRequest({ key: KEYS[0] as (typeof KEYS)[0] })
  const whole = Buffer.from(text.replace(/-----.*-----/g, ''), 'base64')
  const { commonName } = parseSigningRequest(text)
  fc.assert(
    fc.property(fc.nat(whole.length - 1), fc.integer({ min: 1, max: 255 }), (at, change) => {
      const bytes = Buffer.from(whole)
      bytes[at] = (bytes[at] ?? 0) ^ change
      try {
        return parseSigningRequest(pem(bytes)).commonName === commonName
      } catch (error) {
        return error instanceof Error && !(error instanceof TypeError) && !(error instanceof RangeError)
      }
    }),
  )
})
