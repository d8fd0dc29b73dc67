/**
 * The keys of an embedded cluster: its certificate authority, the server's certificate, the administrator's, and the
 * key that signs ServiceAccount tokens. Each file holds a private key and its certificate together, so that no crash
 * can leave the one without the other.
 */
import { createPrivateKey, createPublicKey, generateKeyPairSync, type KeyObject, X509Certificate } from 'node:crypto'
import { isIP } from 'node:net'
import { join } from 'node:path'
import { setTimeout } from 'node:timers/promises'
import { LONGEST_TIMER, type UserInfo } from '@caisson/api'
import { type CertificateSubject, issueCertificate } from './issue-certificate.ts'
import { ensurePrivateDirectory, readPrivateFile, writePrivateFile } from './private-files.ts'

const HOUR = 60 * 60 * 1000
const DAY = 24 * HOUR
const LIFETIME = { authority: 3650 * DAY, server: 365 * DAY, client: 365 * DAY } as const
// Clients whose clock is a little behind ours must not find a certificate from the future.
const BACKDATE = 5 * 60 * 1000

const AUTHORITY: CertificateSubject = { commonName: 'caisson-ca' }
const SERVER: CertificateSubject = { commonName: 'kube-apiserver' }
const PROXY_AUTHORITY: CertificateSubject = { commonName: 'caisson-front-proxy-ca' }
const PROXY: CertificateSubject = { commonName: 'front-proxy-client' }
const ADMINISTRATOR: CertificateSubject = { commonName: 'kubernetes-admin', organizations: ['system:masters'] }

export interface KeyPair {
  /** PEM. */
  certificate: string
  /** PEM, PKCS #8. */
  key: string
}

export interface Certificates {
  /** PEM of the authority that clients trust and that client certificates are verified against. */
  readonly authority: string
  readonly server: KeyPair
  readonly administrator: KeyPair
  /** P-256; signs ServiceAccount tokens. */
  readonly serviceAccountKey: KeyObject
  /** ms since the epoch: from then on a certificate has less than a third of its life left. */
  readonly renewAt: number
  /** Re-issues what is due and returns all of it; the same files, hosts and clock. */
  renew(): Promise<Certificates>
  /** A client certificate for a component that acts as its own user. Not stored. */
  issueClientCertificate(options: IssueClientCertificateOptions): KeyPair
  /** The same for a key that somebody else has, as PEM; never longer than a year. Not stored. */
  signClientCertificate(options: IssueClientCertificateOptions & { publicKey: KeyObject }): string
  /**
   * By what API servers that are joined in know this one, made where it is missing or due. Of an authority of its own: who
   * has a certificate of the cluster's speaks for itself alone.
   */
  frontProxy(): Promise<FrontProxy>
}

export interface FrontProxy {
  /** PEM. */
  authority: string
  client: KeyPair
}

interface IssueClientCertificateOptions {
  /** Such as those of `componentUsers`. */
  user: Pick<UserInfo, 'username' | 'groups'>
  /** ms; a year unless given. */
  lifetime?: number
}

export interface EnsureCertificatesOptions {
  /** DNS names and IP addresses of the server, beside the names that Pods know it by. */
  hosts: readonly string[]
  /** ms since the epoch. */
  now: () => number
}

/** The names under which a server is known inside its own cluster. */
const SERVICE_NAMES = [
  'kubernetes',
  'kubernetes.default',
  'kubernetes.default.svc',
  'kubernetes.default.svc.cluster.local',
] as const

interface Issued extends KeyPair {
  subject: CertificateSubject
  privateKey: KeyObject
  parsed: X509Certificate
}

/**
 * Reads the keys of a cluster from `directory` and makes what is missing, due or no longer fits. Idempotent; a few
 * milliseconds when there is nothing to make.
 *
 * Throws where the authority or the token key is unreadable: a new one would lock out every client, so that is for a
 * person to decide. A broken server or administrator certificate is made anew.
 */
export async function ensureCertificates(directory: string, options: EnsureCertificatesOptions): Promise<Certificates> {
  await ensurePrivateDirectory(directory)
  const now = options.now()
  const hosts = [...new Set([...SERVICE_NAMES, ...options.hosts])]
  const authority = await ensureAuthority({ directory, name: 'authority', subject: AUTHORITY, now })
  const server = await ensureLeaf({ directory, name: 'server', authority, now, subject: SERVER, hosts })
  const administrator = await ensureLeaf({ directory, name: 'administrator', authority, now, subject: ADMINISTRATOR })
  const serviceAccountKey = await ensureServiceAccountKey(directory)
  return {
    authority: authority.certificate,
    server: { certificate: server.certificate, key: server.key },
    administrator: { certificate: administrator.certificate, key: administrator.key },
    serviceAccountKey,
    renewAt: Math.min(...[authority, server, administrator].map(({ parsed }) => renewalOf(parsed))),
    renew: () => ensureCertificates(directory, options),
    issueClientCertificate: ({ user, lifetime = LIFETIME.client }) => {
      // That somebody is authenticated follows from the certificate.
      const organizations = user.groups.filter((group) => group !== 'system:authenticated')
      const subject = { commonName: user.username, organizations }
      const { certificate, key } = issueLeaf({ authority, subject, now: options.now(), lifetime })
      return { certificate, key }
    },
    signClientCertificate: ({ user, publicKey, lifetime = LIFETIME.client }) => {
      const subject = { commonName: user.username, organizations: user.groups }
      const until = Math.min(
        options.now() + Math.min(lifetime, LIFETIME.client),
        authority.parsed.validToDate.getTime(),
      )
      return sign({
        publicKey,
        usage: 'client',
        subject,
        issuer: authority,
        now: options.now(),
        lifetime: until - options.now(),
      })
    },
    frontProxy: () => ensureFrontProxy(directory, options.now()),
  }
}

async function ensureFrontProxy(directory: string, now: number): Promise<FrontProxy> {
  const authority = await ensureAuthority({ directory, name: 'front-proxy-authority', subject: PROXY_AUTHORITY, now })
  const { certificate, key } = await ensureLeaf({ directory, name: 'front-proxy', authority, now, subject: PROXY })
  return { authority: authority.certificate, client: { certificate, key } }
}

export interface KeepCertificatesFreshOptions {
  now: () => number
  signal: AbortSignal
  /** Gets each new set; hand it to `setSecureContext` and write kubeconfigs again. */
  onRenewed: (certificates: Certificates) => void
  /** A renewal failed (a full disk, say). It is tried again after an hour. */
  onError: (error: unknown) => void
}

/** Renews certificates at the moment they become due, until the signal aborts. Does not keep the process alive. */
export async function keepCertificatesFresh(
  certificates: Certificates,
  { now, signal, onRenewed, onError }: KeepCertificatesFreshOptions,
): Promise<void> {
  let current = certificates
  let due = certificates.renewAt
  while (!signal.aborted) {
    const left = due - now()
    if (left > 0) {
      // A year does not fit into a timer: wait in pieces. An abort is the way out, not a failure.
      await setTimeout(Math.min(left, LONGEST_TIMER), undefined, { signal, ref: false }).catch(() => undefined)
      continue
    }
    try {
      current = await current.renew()
      due = current.renewAt
      onRenewed(current)
    } catch (error) {
      due = now() + HOUR
      onError(error)
    }
  }
}

/** When a third of the certificate's life is left, ms since the epoch. */
function renewalOf(certificate: X509Certificate): number {
  const until = certificate.validToDate.getTime()
  return until - (until - certificate.validFromDate.getTime()) / 3
}

function isCurrent(certificate: X509Certificate, now: number): boolean {
  return certificate.validFromDate.getTime() <= now && now < renewalOf(certificate)
}

interface AuthorityOptions {
  directory: string
  name: string
  subject: CertificateSubject
  now: number
}

async function ensureAuthority({ directory, name, subject, now }: AuthorityOptions): Promise<Issued> {
  const path = join(directory, `${name}.pem`)
  const text = await readPrivateFile(path)
  const stored = text === undefined ? undefined : parseIssued(text, subject)
  if (text !== undefined && (stored === undefined || !stored.parsed.ca)) {
    throw new Error(
      `expected ${path} to hold the cluster's authority, found something else: restore it, or remove it to start ` +
        'with a new one (every kubeconfig has to be written again then)',
    )
  }
  if (stored && isCurrent(stored.parsed, now)) return stored
  // The same key and name: what the old certificate vouched for, the new one vouches for too.
  const privateKey = stored?.privateKey ?? newKey()
  const made = issue({
    privateKey,
    usage: 'authority',
    subject,
    issuer: { privateKey, subject },
    now,
    lifetime: LIFETIME.authority,
  })
  await writePrivateFile(directory, `${name}.pem`, made.certificate + made.key)
  return made
}

interface LeafOptions {
  authority: Issued
  subject: CertificateSubject
  hosts?: readonly string[]
  now: number
}

async function ensureLeaf(options: LeafOptions & { directory: string; name: string }): Promise<Issued> {
  const { directory, name, authority, now, hosts } = options
  const text = await readPrivateFile(join(directory, `${name}.pem`))
  const stored = text === undefined ? undefined : parseIssued(text, options.subject)
  if (
    stored &&
    isCurrent(stored.parsed, now) &&
    stored.parsed.verify(authority.parsed.publicKey) &&
    (hosts ?? []).every((host) => answersFor(stored.parsed, host))
  ) {
    return stored
  }
  const made = issueLeaf({ ...options, lifetime: hosts ? LIFETIME.server : LIFETIME.client })
  await writePrivateFile(directory, `${name}.pem`, made.certificate + made.key)
  return made
}

function answersFor(certificate: X509Certificate, host: string): boolean {
  const found = isIP(host) === 0 ? certificate.checkHost(host, { wildcards: false }) : certificate.checkIP(host)
  return found !== undefined
}

function issueLeaf(options: LeafOptions & { lifetime: number }): Issued {
  const { authority, subject, hosts, now, lifetime } = options
  // A certificate that outlives its authority would be refused on its last days anyway.
  const until = Math.min(now + lifetime, authority.parsed.validToDate.getTime())
  return issue({
    privateKey: newKey(),
    usage: hosts ? 'server' : 'client',
    subject,
    ...(hosts && { hosts }),
    issuer: authority,
    now,
    lifetime: until - now,
  })
}

type Issuer = Pick<Issued, 'privateKey' | 'subject'>

interface SignOptions {
  publicKey: KeyObject
  usage: 'authority' | 'server' | 'client'
  subject: CertificateSubject
  hosts?: readonly string[]
  issuer: Issuer
  now: number
  lifetime: number
}

interface IssueOptions extends Omit<SignOptions, 'publicKey'> {
  privateKey: KeyObject
}

function issue({ privateKey, ...rest }: IssueOptions): Issued {
  const certificate = sign({ ...rest, publicKey: createPublicKey(privateKey) })
  const parsed = new X509Certificate(certificate)
  return { certificate, key: keyText(privateKey), privateKey, parsed, subject: rest.subject }
}

function sign({ issuer, now, lifetime, ...rest }: SignOptions): string {
  return issueCertificate({
    ...rest,
    issuer: { ...issuer, publicKey: createPublicKey(issuer.privateKey) },
    notBefore: now - BACKDATE,
    notAfter: now + lifetime,
  })
}

async function ensureServiceAccountKey(directory: string): Promise<KeyObject> {
  const path = join(directory, 'service-account.pem')
  const text = await readPrivateFile(path)
  if (text === undefined) {
    const key = newKey()
    await writePrivateFile(directory, 'service-account.pem', keyText(key))
    return key
  }
  const key = parseKey(text)
  if (key?.asymmetricKeyDetails?.namedCurve === 'prime256v1') return key
  throw new Error(
    `expected ${path} to hold a P-256 key, found something else: restore it, or remove it to start with a new one ` +
      '(every ServiceAccount token becomes invalid then)',
  )
}

function parseIssued(text: string, subject: CertificateSubject): Issued | undefined {
  const privateKey = parseKey(text)
  if (!privateKey) return undefined
  try {
    const parsed = new X509Certificate(text)
    if (!parsed.checkPrivateKey(privateKey)) return undefined
    return { certificate: parsed.toString(), key: keyText(privateKey), privateKey, parsed, subject }
  } catch {
    return undefined
  }
}

function parseKey(text: string): KeyObject | undefined {
  try {
    return createPrivateKey(text)
  } catch {
    return undefined
  }
}

function newKey(): KeyObject {
  return generateKeyPairSync('ec', { namedCurve: 'prime256v1' }).privateKey
}

function keyText(key: KeyObject): string {
  return key.export({ type: 'pkcs8', format: 'pem' })
}
