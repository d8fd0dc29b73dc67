/** A kind whose versions a webhook converts: both servers ask the same one, on loopback. */
import {
  type ConversionClient,
  convertMachines,
  MACHINES,
  machine,
  machineDefinition,
} from '../../packages/apiserver/src/testing/convert-machines.ts'
import { startWebhookServer, type WebhookServer } from '../../packages/apiserver/src/testing/webhook-server.ts'
import { type Add, CRDS, PATCHES, post } from './requests.ts'
import type { Request } from './script.ts'

const CRD = `${CRDS}/machines.convert.example.com`

export function startConversionWebhook(): Promise<WebhookServer> {
  return startWebhookServer((path, request) => convertMachines(path, request))
}

/** To be added early: kube-apiserver serves a new definition a moment after it has answered. */
export function convertedDefinition(add: Add, client: ConversionClient): void {
  const wrong = (label: string, conversion: object): void =>
    add(`converted: ${label}`, {
      ...post(CRDS, withConversion(machineDefinition(client), conversion)),
      query: { dryRun: 'All' },
    })
  const { url, caBundle } = client
  wrong('no webhook', { strategy: 'Webhook' })
  wrong('no client', { strategy: 'Webhook', webhook: { conversionReviewVersions: ['v1'] } })
  wrong('an empty client', { strategy: 'Webhook', webhook: { clientConfig: {}, conversionReviewVersions: ['v1'] } })
  wrong('no reviews', { strategy: 'Webhook', webhook: { clientConfig: { url } } })
  wrong('unknown reviews', {
    strategy: 'Webhook',
    webhook: { clientConfig: { url }, conversionReviewVersions: ['v7'] },
  })
  wrong('reviews twice', {
    strategy: 'Webhook',
    webhook: { clientConfig: { url }, conversionReviewVersions: ['v1', 'v1', 'V_'] },
  })
  wrong('an insecure address', {
    strategy: 'Webhook',
    webhook: { clientConfig: { url: 'http://u@h/?q#f' }, conversionReviewVersions: ['v1'] },
  })
  wrong('a Service without a name', {
    strategy: 'Webhook',
    webhook: { clientConfig: { service: { path: 'x', port: 0 } }, conversionReviewVersions: ['v1'] },
  })
  wrong('definition of certificates that are none', {
    strategy: 'Webhook',
    webhook: { clientConfig: { url, caBundle: 'AAAA' }, conversionReviewVersions: ['v1'] },
  })
  wrong('None with a webhook', { strategy: 'None', webhook: { clientConfig: { url, caBundle } } })
  wrong('another strategy', { strategy: 'Other' })
  add('converted: definition of machines', post(CRDS, machineDefinition(client)))
}

function withConversion(definition: object, conversion: object): object {
  const { spec, ...rest } = definition as { spec: object }
  return { ...rest, spec: { ...spec, conversion } }
}

export function conversionSteps(add: Add, client: ConversionClient): void {
  const path = (version: string): string => `${MACHINES}/${version}/namespaces/one/machines`
  const patch = (at: string, body: unknown, contentType: string, query?: Record<string, string>): Request => ({
    method: 'PATCH',
    path: at,
    body,
    contentType,
    ...(query && { query }),
  })
  add('converted: the definition', { method: 'GET', path: CRD })
  add('converted: create in the old version', post(path('v1'), machine('v1', 'old', { address: 'h:1', replicas: 1 })))
  add('converted: create in the new version', post(path('v2'), machine('v2', 'new', { host: 'x', port: '2' })))
  add('converted: a dry run', {
    ...post(path('v1'), machine('v1', 'dry', { address: 'h:1' })),
    query: { dryRun: 'All' },
  })
  add('converted: again', post(path('v1'), machine('v1', 'old', { address: 'h:1' })))
  for (const version of ['v1', 'v2']) {
    add(`converted: old in ${version}`, { method: 'GET', path: `${path(version)}/old` })
    add(`converted: new in ${version}`, { method: 'GET', path: `${path(version)}/new` })
    add(`converted: list in ${version}`, { method: 'GET', path: path(version) })
    add(`converted: one of ${version}`, { method: 'GET', path: path(version), query: { limit: '1' } })
    add(`converted: watch of ${version}`, {
      method: 'GET',
      path: path(version),
      query: { watch: 'true', timeoutSeconds: '1' },
    })
    add(`converted: merge in ${version}`, patch(`${path(version)}/old`, { spec: { mode: version } }, PATCHES.merge))
    add(
      `converted: JSON patch in ${version}`,
      patch(`${path(version)}/new`, [{ op: 'replace', path: '/spec/mode', value: version }], PATCHES.json),
    )
    add(
      `converted: apply in ${version}`,
      patch(
        `${path(version)}/applied`,
        machine(version as 'v1', 'applied', version === 'v1' ? { address: 'a:1' } : { host: 'b' }),
        PATCHES.apply,
        { fieldManager: 'red', force: 'true' },
      ),
    )
    add(
      `converted: status in ${version}`,
      patch(`${path(version)}/old/status`, { status: { replicas: 2 } }, PATCHES.merge),
    )
    add(`converted: scale in ${version}`, { method: 'GET', path: `${path(version)}/old/scale` })
    add(
      `converted: scaled in ${version}`,
      patch(`${path(version)}/old/scale`, { spec: { replicas: version === 'v1' ? 3 : 4 } }, PATCHES.merge),
    )
  }
  add('converted: delete in the old version', { method: 'DELETE', path: `${path('v1')}/applied` })
  // A definition is followed a moment later: each of these is asked until the new webhook is.
  const code = (body: unknown): number | undefined => (body as { code?: number }).code
  const convertBy = (name: string): Request => {
    const clientConfig = { url: `${client.url}/${name}` }
    return patch(CRD, { spec: { conversion: { webhook: { clientConfig } } } }, PATCHES.merge)
  }
  const read = { method: 'GET', path: `${path('v1')}/new` } as const
  for (const wrong of ['failure', 'silent', 'fewer', 'version', 'name', 'label', 'metadata', 'uid']) {
    add(`converted: by ${wrong}`, convertBy(wrong))
    add(`converted: read with ${wrong}`, { ...read, until: (body) => code(body) === 500 })
    add(`converted: well again after ${wrong}`, convertBy('convert'))
    add(`converted: read after ${wrong}`, { ...read, until: (body) => code(body) === undefined })
  }
}
