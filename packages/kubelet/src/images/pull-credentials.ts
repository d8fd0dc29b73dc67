/** What a Pod may show to registries: the credentials of its pull secrets. The ServiceAccount's are put into the Pod at admission. */
import { createHash } from 'node:crypto'
import type { PodObject } from '@caisson/client'
import { createKeyring, type DockerAuth, type Keyring, type RegistryCredential } from '@caisson/runtime'
import type { PodSources, SecretObject } from '../pod-sources.ts'
import { specOf } from '../pods/observed-pod.ts'

export interface PullCredentials {
  keyring: Keyring
  /** Two Pods with the same one may share a pull. */
  fingerprint: string
  /** Names of secrets that are not there, or hold nothing of the kind. */
  missing: string[]
}

const MOST_SECRETS = 64

export async function pullCredentials(pod: PodObject, sources: Pick<PodSources, 'secret'>): Promise<PullCredentials> {
  const { namespace = '' } = pod.metadata
  const missing: string[] = []
  const entries: Parameters<typeof createKeyring>[0][number][] = []
  const fingerprint = createHash('sha256')
  const names = (specOf(pod).imagePullSecrets ?? []).flatMap(({ name }) => (name ? [name] : []))
  for (const name of new Set(names.slice(0, MOST_SECRETS))) {
    const secret = await sources.secret(namespace, name)
    const auths = secret && authsOf(secret)
    if (!secret || !auths) {
      missing.push(name)
      continue
    }
    const { uid = '' } = secret.metadata
    fingerprint.update(JSON.stringify([namespace, name, uid, auths]))
    entries.push({ auths, marks: (credential) => [`secret ${namespace}/${name} ${uid}`, credentialMark(credential)] })
  }
  return { keyring: createKeyring(entries), fingerprint: fingerprint.digest('hex'), missing }
}

/** The same password is the same right, whatever secret holds it. */
function credentialMark(credential: RegistryCredential): string {
  return `credential ${createHash('sha256').update(JSON.stringify(credential)).digest('hex')}`
}

/** Undefined where the secret is of another type, or holds no JSON of the kind. */
function authsOf({ type, data = {} }: SecretObject): Record<string, DockerAuth> | undefined {
  if (type === 'kubernetes.io/dockerconfigjson') return objectIn(objectOf(data['.dockerconfigjson'])?.['auths'])
  return type === 'kubernetes.io/dockercfg' ? objectIn(objectOf(data['.dockercfg'])) : undefined
}

function objectOf(base64: string | undefined): Record<string, unknown> | undefined {
  try {
    const value: unknown = JSON.parse(Buffer.from(base64 ?? '', 'base64').toString('utf8'))
    return typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : undefined
  } catch {
    return undefined
  }
}

function objectIn(value: unknown): Record<string, DockerAuth> | undefined {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return undefined
  return Object.fromEntries(Object.entries(value).filter(([, auth]) => typeof auth === 'object' && auth !== null))
}
