/** What claims bring along for members of pools: their variables with values, and the Secrets that have been sent. */
import { createHash } from 'node:crypto'
import { controllerOf, LABELS, type SandboxClaim } from '@caisson/api'
import { type AnyObject, type Client, isNotFound, joinKey, keyOf, type Resource, resources } from '@caisson/client'
import type { KnownVariable, SecretToBe } from '../blueprint/warm-env.ts'
import type { WriteCache } from '../engine/write-runner.ts'

export type EnvValues =
  /** The claim is called when they are known. */
  | { kind: 'reading' }
  | { kind: 'known'; variables: readonly KnownVariable[] }
  /** `permanent`: until the claim is edited. */
  | { kind: 'problem'; message: string; permanent: boolean }

/** A Secret as far as has to be known of it: never what is in it. */
export interface SentSecret {
  uid: string
  /** UID of its controller. */
  owner: string | undefined
  fingerprint: string
}

export interface EnvDelivery {
  /** Reads what the claim refers to, once for each generation of it; what could not be read, once more each time. */
  valuesOf(claim: SandboxClaim): EnvValues
  sent(namespace: string, name: string): SentSecret | undefined
  /** The claim has its Sandbox with everything in it, or is gone. */
  forget(claimUid: string): void
  /** What writes of Secrets are answered with goes here. */
  cache: WriteCache
}

export interface EnvDeliveryOptions {
  client: Client
  /** The values of the claim with that key are there. */
  call(key: string): void
}

/** As much as a Secret may hold, bytes. */
const LARGEST = 1024 * 1024

/** What is known of a claim's variables. */
interface Entry {
  /** Of the claim. */
  generation: number | undefined
  values: EnvValues
  reading: boolean
}

export function createEnvDelivery({ client, call }: EnvDeliveryOptions): EnvDelivery {
  const known = new Map<string, Entry>()
  const secrets = new Map<string, { object: AnyObject; sent: SentSecret; claimUid: string | undefined }>()

  async function read(claim: SandboxClaim): Promise<EnvValues> {
    const { namespace = '' } = claim.metadata
    const objects = new Map<string, Promise<KeyedObject | undefined>>()
    const objectOf = (resource: Resource<KeyedObject>, name: string) => {
      const id = `${resource.kind} ${name}`
      let object = objects.get(id)
      if (!object) objects.set(id, (object = readObject(client, resource, { namespace, name })))
      return object
    }
    const variables: KnownVariable[] = []
    for (const { name, value, valueFrom, containerName } of claim.spec.env ?? []) {
      if (!valueFrom) {
        variables.push({ name, value: value ?? '', containerName })
        continue
      }
      const reference = valueFrom.secretKeyRef ?? valueFrom.configMapKeyRef
      const resource = valueFrom.secretKeyRef ? resources.secrets : resources.configMaps
      const object = reference && (await objectOf(resource as Resource<KeyedObject>, reference.name ?? ''))
      const data = object?.data ?? {}
      const found = reference && Object.hasOwn(data, reference.key) ? data[reference.key] : undefined
      if (found !== undefined) {
        const text = valueFrom.secretKeyRef ? Buffer.from(found, 'base64').toString() : found
        variables.push({ name, value: text, containerName })
      } else if (!reference?.optional) {
        const missing = object ? `key ${JSON.stringify(reference?.key)} not found in` : 'there is no'
        const message = `${missing} ${resource.kind} ${JSON.stringify(reference?.name)} for environment variable ${JSON.stringify(name)}`
        return { kind: 'problem', message, permanent: true }
      }
    }
    return checked(variables)
  }

  function start(claim: SandboxClaim, entry: Entry): void {
    const { uid = '' } = claim.metadata
    const before = entry.values
    entry.reading = true
    const finish = (values: EnvValues): void => {
      entry.reading = false
      entry.values = values
      // Where it failed once more nobody is called: whoever asks again does so by his own back-off.
      if (known.get(uid) === entry && !(isPassing(before) && isPassing(values))) call(keyOf(claim))
    }
    read(claim).then(finish, (error: Error) =>
      finish({ kind: 'problem', message: `its sources cannot be read: ${error.message}`, permanent: false }),
    )
  }

  return {
    valuesOf(claim) {
      const { uid = '', generation } = claim.metadata
      const env = claim.spec.env ?? []
      if (env.every(({ valueFrom }) => !valueFrom))
        return checked(env.map(({ name, value = '', containerName }) => ({ name, value, containerName })))
      let entry = known.get(uid)
      if (!entry || entry.generation !== generation) {
        known.set(uid, (entry = { generation, values: { kind: 'reading' }, reading: false }))
        start(claim, entry)
      } else if (isPassing(entry.values) && !entry.reading) start(claim, entry)
      return entry.values
    },
    sent: (namespace, name) => secrets.get(joinKey(namespace, name))?.sent,
    forget(claimUid) {
      known.delete(claimUid)
      for (const [key, secret] of secrets) if (secret.claimUid === claimUid) secrets.delete(key)
    },
    cache: {
      resource: resources.secrets as unknown as WriteCache['resource'],
      get: (key) => secrets.get(key)?.object,
      observe(object) {
        const { apiVersion, kind, metadata } = object
        const sent = {
          uid: metadata.uid ?? '',
          owner: controllerOf({ metadata })?.uid,
          fingerprint: fingerprintOf((object as Partial<SecretToBe>).data),
        }
        secrets.set(keyOf(object), {
          object: { apiVersion, kind, metadata },
          sent,
          claimUid: metadata.labels?.[LABELS.claimUid],
        })
      },
      observeDeletion: (object) => void secrets.delete(keyOf(object)),
    },
  }
}

/** Whether it may be over when the same is read again. */
function isPassing(values: EnvValues): boolean {
  return values.kind === 'problem' && !values.permanent
}

/** Equal for the same variables with the same values. */
export function fingerprintOf(data: Readonly<Record<string, string>> = {}): string {
  const sorted = Object.entries(data).sort(([a], [b]) => (a < b ? -1 : 1))
  return createHash('sha256').update(JSON.stringify(sorted)).digest('hex')
}

type KeyedObject = AnyObject & { data?: Readonly<Record<string, string>> }

function checked(variables: readonly KnownVariable[]): EnvValues {
  let size = 0
  for (const { name, value } of variables) {
    size += Buffer.byteLength(name) + Buffer.byteLength(value)
    if (!value.includes('\0')) continue
    const message = `the value of environment variable ${JSON.stringify(name)} has a NUL byte in it`
    return { kind: 'problem', message, permanent: true }
  }
  if (size <= LARGEST) return { kind: 'known', variables }
  return { kind: 'problem', message: `the variables are larger than ${LARGEST} bytes together`, permanent: true }
}

async function readObject(
  client: Client,
  resource: Resource<KeyedObject>,
  { namespace, name }: { namespace: string; name: string },
): Promise<KeyedObject | undefined> {
  if (!name) return undefined
  try {
    return await client.get(resource, name, { namespace })
  } catch (error) {
    if (isNotFound(error)) return undefined
    throw error
  }
}
