/** The two certificates of a node of another's cluster: one by which it is known there, and one that its own API shows. */
import { createPrivateKey, generateKeyPairSync, X509Certificate } from 'node:crypto'
import { mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs'
import { isIP } from 'node:net'
import { dirname } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import type { Client } from '@caisson/client'
import { certificateRequest } from './certificate-request.ts'
import { type RequestCertificateOptions, requestCertificate, type SIGNERS } from './request-certificate.ts'

export interface KeyPair {
  /** PEM. */
  certificate: string
  /** PEM, PKCS #8. */
  key: string
}

export interface NodeCertificateOptions
  extends Pick<RequestCertificateOptions, 'client' | 'approver' | 'onWaiting' | 'signal'> {
  nodeName: string
  signer: keyof typeof SIGNERS
  /** Of a serving certificate: what the node is reached by. */
  hosts?: readonly string[]
}

/** Rejects as `requestCertificate` does. */
export async function requestNodeCertificate({
  nodeName,
  hosts = [],
  ...options
}: NodeCertificateOptions): Promise<KeyPair> {
  const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'prime256v1' })
  const subject = { commonName: `system:node:${nodeName}`, organization: 'system:nodes' }
  const certificate = await requestCertificate({
    ...options,
    prefix: `caisson-${options.signer}-${nodeName}`,
    request: certificateRequest({ ...subject, hosts, key: privateKey }),
  })
  return { certificate, key: privateKey.export({ type: 'pkcs8', format: 'pem' }) }
}

/** In one step, for this user alone. */
export function writeKeyPair(file: string, { certificate, key }: KeyPair): void {
  mkdirSync(dirname(file), { recursive: true, mode: 0o700 })
  writeFileSync(`${file}.new`, `${certificate.trimEnd()}\n${key}`, { mode: 0o600 })
  renameSync(`${file}.new`, file)
}

/** Undefined where there is none that can be used now. */
export function readKeyPair(file: string, now: number): KeyPair | undefined {
  try {
    const text = readFileSync(file, 'utf8')
    const key = createPrivateKey(text)
    const parsed = new X509Certificate(text)
    if (!parsed.checkPrivateKey(key) || parsed.validToDate.getTime() <= now) return undefined
    const [certificate = ''] = /(?:-----BEGIN CERTIFICATE-----[^]+?-----END CERTIFICATE-----\s*)+/.exec(text) ?? []
    return { certificate, key: key.export({ type: 'pkcs8', format: 'pem' }) }
  } catch {
    return undefined
  }
}

/** ms since the epoch: a third of its life is left then. */
function renewalOf({ certificate }: KeyPair): number {
  const { validFromDate, validToDate } = new X509Certificate(certificate)
  return validToDate.getTime() - (validToDate.getTime() - validFromDate.getTime()) / 3
}

/** Whether it may be shown by whoever is reached at all of these. */
function answersFor({ certificate }: KeyPair, hosts: readonly string[]): boolean {
  const parsed = new X509Certificate(certificate)
  return hosts.every((host) => (isIP(host) === 0 ? parsed.checkHost(host) : parsed.checkIP(host)) !== undefined)
}

export interface KeepCertificatesOptions {
  client: Client
  nodeName: string
  hosts: readonly string[]
  /** Holds the certificate by which `client` is known, which reads it again when it changes. */
  clientFile: string
  servingFile: string
  onServing(pair: KeyPair): void
  /** Somebody has to approve the request of this name. */
  onWaiting(name: string): void
  signal: AbortSignal
  now: () => number
  onError(error: unknown, where: string): void
}

const CHECK_MS = 60 * 60 * 1000
/** Between two requests: also one that was given just now may be due at once, where its authority is about to end. */
const RETRY_MS = 60_000

/**
 * Asks for both anew when they are due, until the signal is aborted. The one by which the node is known a cluster renews
 * by itself; the other somebody has to approve, since the cluster cannot know who is reached at an address.
 */
export function keepCertificates(options: KeepCertificatesOptions): AsyncDisposable {
  const { client, nodeName, hosts, now, onError } = options
  const stop = new AbortController()
  const signal = AbortSignal.any([options.signal, stop.signal])

  async function keep(signer: keyof typeof SIGNERS): Promise<void> {
    const file = signer === 'client' ? options.clientFile : options.servingFile
    const asked = signer === 'client' ? [] : hosts
    for (;;) {
      const pair = readKeyPair(file, now())
      const left = pair && answersFor(pair, asked) ? renewalOf(pair) - now() : 0
      // A year does not fit into a timer.
      if (left > 0) await delay(Math.min(left, CHECK_MS), undefined, { signal, ref: false })
      else {
        await renew(signer, { file, asked }).catch((error: unknown) => failed(signer, error))
        await delay(RETRY_MS, undefined, { signal, ref: false })
      }
    }
  }

  async function renew(
    signer: keyof typeof SIGNERS,
    { file, asked }: { file: string; asked: readonly string[] },
  ): Promise<void> {
    const { onWaiting } = options
    const pair = await requestNodeCertificate({
      client,
      nodeName,
      signer,
      hosts: asked,
      signal,
      ...(signer === 'serving' && { onWaiting }),
    })
    writeKeyPair(file, pair)
    if (signer === 'serving') options.onServing(pair)
  }

  function failed(signer: keyof typeof SIGNERS, error: unknown): void {
    signal.throwIfAborted()
    onError(error, `the ${signer} certificate of the node`)
  }

  const running = Promise.all([keep('client'), keep('serving')]).catch((error: unknown) => {
    if (!signal.aborted) onError(error, 'the certificates of the node')
  })
  return {
    async [Symbol.asyncDispose]() {
      stop.abort()
      await running
    },
  }
}
