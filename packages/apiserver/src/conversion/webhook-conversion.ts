/**
 * Asks the conversion webhook of a CustomResourceDefinition: ConversionReviews of `apiextensions.k8s.io`, many objects in
 * one where many are wanted. Each definition has turns of its own, so that a webhook that hangs keeps nobody waiting but
 * those who ask for its kind.
 */
import { randomUUID } from 'node:crypto'
import { type KubeObject, limitConcurrency, TooManyWaiting } from '@caisson/api'
import {
  type ClientConfig,
  MAX_ANSWER_BYTES,
  type WebhookClient,
  WebhookError,
} from '../admission/webhooks/webhook-client.ts'
import { tooManyRequests } from '../http/in-flight.ts'
import { isObject } from '../patch/json-value.ts'
import { specOf } from '../registry/crd.ts'
import type { Conversion } from '../registry/resource.ts'
import { StatusError } from '../status-error.ts'
import { deepCopy } from '../storage/freeze.ts'
import { jsonSyntaxError } from '../verbs/json-syntax-error.ts'
import { BadConversion, checkConverted } from './converted-objects.ts'

/** kube-apiserver's for every webhook that says nothing of it, as these cannot. */
const TIMEOUT_SECONDS = 30
/** Of one review; one object alone may be larger. */
const MOST_OBJECTS = 100
const MOST_BYTES = 1 << 20
/** Reviews and their answers in the process, per definition; others wait for their turn as long as for an answer. */
const AT_ONCE = 8
const MOST_WAITING = 64

/** Reviews at once for one list, however long it is. */
const LANES = 4

const GROUP = 'apiextensions.k8s.io'

interface Asking {
  client: ClientConfig
  ask: WebhookClient
  /** `v1` or `v1beta1`; undefined where the definition wants neither. */
  version: string | undefined
}

/** Undefined for definitions whose versions differ in name alone. */
export function createConversion(definition: KubeObject, ask: WebhookClient): Conversion | undefined {
  const { conversion } = specOf(definition)
  if (conversion?.strategy !== 'Webhook' || !conversion.webhook?.clientConfig) return undefined
  const { clientConfig, conversionReviewVersions = [] } = conversion.webhook
  const version = conversionReviewVersions.find((each) => each === 'v1' || each === 'v1beta1')
  const asking: Asking = { client: withoutBlankBundle(clientConfig), ask, version }
  const limited = limitConcurrency(AT_ONCE, MOST_WAITING)
  const answers = new Map<string, KubeObject>()

  async function convert(objects: readonly KubeObject[], apiVersion: string): Promise<KubeObject[]> {
    const batches = batchesOf(objects.map(withoutResourceVersion))
    const converted: KubeObject[] = []
    for (let start = 0; start < batches.length; start += LANES) {
      const asked = batches.slice(start, start + LANES).map((batch) => {
        const late = AbortSignal.timeout(TIMEOUT_SECONDS * 1000)
        return limited(() => review(asking, batch, apiVersion), late).catch(asStatusError(batch))
      })
      converted.push(...(await Promise.all(asked)).flat())
    }
    return converted.map((object, index) => withResourceVersion(object, objects[index] as KubeObject))
  }

  return {
    convert,
    kept(object, apiVersion) {
      const kept = answers.get(keyOf(object, apiVersion))
      return kept && withResourceVersion(deepCopy(kept), object)
    },
    async keep(object, apiVersion) {
      const key = keyOf(object, apiVersion)
      const [converted] = await convert([object], apiVersion)
      answers.set(key, converted as KubeObject)
      return { [Symbol.dispose]: () => void answers.delete(key) }
    },
  }
}

/** Some installers write a line feed where they know no certificate yet. */
function withoutBlankBundle({ caBundle = '', ...config }: ClientConfig): ClientConfig {
  return Buffer.from(caBundle, 'base64').toString().trim() === '' ? config : { ...config, caBundle }
}

/** Webhooks never see it: in Kubernetes it is no part of what is stored. */
function withoutResourceVersion(object: KubeObject): KubeObject {
  const { resourceVersion: _, ...metadata } = object.metadata
  return { ...object, metadata }
}

function withResourceVersion(object: KubeObject, { metadata: { resourceVersion } }: KubeObject): KubeObject {
  if (resourceVersion === undefined) return object
  return { ...object, metadata: { ...object.metadata, resourceVersion } }
}

function keyOf(object: KubeObject, apiVersion: string): string {
  return `${apiVersion} ${JSON.stringify(withoutResourceVersion(object))}`
}

/** In order. */
function batchesOf(objects: readonly KubeObject[]): KubeObject[][] {
  const batches: KubeObject[][] = []
  let bytes = 0
  for (const object of objects) {
    const size = JSON.stringify(object).length
    const last = batches.at(-1)
    if (last && last.length < MOST_OBJECTS && bytes + size <= MOST_BYTES) last.push(object)
    else {
      batches.push([object])
      bytes = 0
    }
    bytes += size
  }
  return batches
}

async function review(asking: Asking, objects: readonly KubeObject[], apiVersion: string): Promise<KubeObject[]> {
  const { client, ask, version } = asking
  if (version === undefined) throw new WebhookError('no supported conversion review versions')
  const uid = randomUUID()
  const reviewVersion = `${GROUP}/${version}`
  const request = { uid, desiredAPIVersion: apiVersion, objects }
  const text = await ask({
    client,
    body: JSON.stringify({ kind: 'ConversionReview', apiVersion: reviewVersion, request }),
    timeoutSeconds: TIMEOUT_SECONDS,
    maxBytes: MAX_ANSWER_BYTES + 2 * MOST_BYTES,
    userAgent: 'kube-apiserver-admission',
  })
  const found = convertedObjects(text, uid, version)
  if (found.length !== objects.length)
    throw new WrongAnswer(`returned ${found.length} objects, expected ${objects.length}`)
  return objects.map((object, index) => {
    try {
      return checkConverted(object, found[index], apiVersion)
    } catch (error) {
      if (!(error instanceof BadConversion)) throw error
      throw new WrongAnswer(`returned invalid ${placeOf(error, objects.length, index)}: ${error.message}`)
    }
  })
}

/** What follows the webhook's name in a message, where the webhook answered. */
class WrongAnswer extends Error {
  override readonly name = 'WrongAnswer'
}

function placeOf({ part }: BadConversion, count: number, index: number): string {
  if (part === 'metadata') return count === 1 ? 'metadata' : `metadata in object at index ${index}`
  if (count > 1) return `converted object at index ${index}`
  return part === 'version' ? 'object at index 0' : 'object'
}

function convertedObjects(text: string, uid: string, version: string): unknown[] {
  let review: unknown
  try {
    review = JSON.parse(text)
  } catch {
    throw new WebhookError(`couldn't get version/kind; json parse error: ${jsonSyntaxError(Buffer.from(text))}`)
  }
  const { kind = '', apiVersion = '', response } = isObject(review) ? review : ({} as Record<string, unknown>)
  if (version === 'v1' && (kind !== 'ConversionReview' || apiVersion !== `${GROUP}/v1`)) {
    const wanted = `${GROUP}/v1, Kind=ConversionReview`
    const got = `${apiVersion === '' ? '/' : String(apiVersion)}, Kind=${String(kind)}`
    throw new WebhookError(`expected webhook response of ${wanted}, got ${got}`)
  }
  if (!isObject(response)) throw new WebhookError('no response provided')
  const { uid: answered = '', result, convertedObjects: objects } = response
  if (version === 'v1' && answered !== uid)
    throw new WebhookError(`expected response.uid=${JSON.stringify(uid)}, got ${JSON.stringify(answered)}`)
  const { status = '', message } = isObject(result) ? result : ({} as Record<string, unknown>)
  if (status !== 'Success')
    throw new WebhookError(
      typeof message === 'string' && message !== ''
        ? message
        : `response.result.status was '${String(status)}', not 'Success'`,
    )
  return Array.isArray(objects) ? objects : []
}

function asStatusError([first, ...more]: readonly KubeObject[]): (error: unknown) => never {
  return (error) => {
    if (error instanceof TooManyWaiting) throw tooManyRequests()
    const { apiVersion, kind } = first as KubeObject
    const said =
      error instanceof WrongAnswer
        ? error.message
        : error instanceof WebhookError
          ? `failed: ${error.message}`
          : error instanceof DOMException && error.name === 'TimeoutError'
            ? 'failed: context deadline exceeded'
            : undefined
    if (said === undefined) throw error
    const list = more.length > 0 ? 'List' : ''
    throw new StatusError('Unknown', `conversion webhook for ${apiVersion}, Kind=${kind}${list} ${said}`, {
      cause: error,
    })
  }
}
