/** What every namespace has: the ServiceAccount `default`, and the cluster's CA for its Pods. */
import {
  type AnyObject,
  type Client,
  type Informers,
  isAlreadyExists,
  isApiError,
  joinKey,
  keyOf,
  resources,
} from '@caisson/client'
import type { PartWiring } from './part-wiring.ts'

const ACCOUNT = 'default'
const CA_NAME = 'kube-root-ca.crt'
const NAMESPACES_AT_A_TIME = 4
/** Kubernetes' own note on the object, which tools look for. */
const CA_DESCRIPTION =
  'Contains a CA bundle that can be used to verify the kube-apiserver when using internal endpoints such as the internal service IP or kubernetes.default.svc. No other usage is guaranteed across distributions of Kubernetes clusters.'

interface ServiceAccountContext {
  client: Client
  informers: Informers
  /** PEM. */
  ca: string
  signal: AbortSignal
}

/**
 * Has it made where it is missing, and again where it was taken away.
 *
 * @param ca PEM
 */
export function startServiceAccounts({ client, informers, signal, queue, on }: PartWiring, ca: string): void {
  const accountQueue = queue(
    'service account',
    (namespace) => reconcileNamespaceAccounts(namespace, { client, informers, ca, signal }),
    NAMESPACES_AT_A_TIME,
  )
  const changed = (object: AnyObject, name: string): void => {
    if (object.metadata.name === name) accountQueue.add(object.metadata.namespace ?? '')
  }
  on(informers.of(resources.namespaces), (namespace) => accountQueue.add(keyOf(namespace)))
  on(
    informers.of(resources.serviceAccounts),
    () => {},
    (account) => changed(account, ACCOUNT),
  )
  on(
    informers.of(resources.configMaps),
    (map, old) => old && changed(map, CA_NAME),
    (map) => changed(map, CA_NAME),
  )
}

/** Makes what is missing in one namespace. */
async function reconcileNamespaceAccounts(
  namespace: string,
  { client, informers, ca, signal }: ServiceAccountContext,
): Promise<void> {
  const found = informers.of(resources.namespaces).get(namespace)
  if (!found || found.metadata.deletionTimestamp) return
  const accounts = informers.of(resources.serviceAccounts)
  if (!accounts.get(joinKey(namespace, ACCOUNT))) {
    await unlessThereAlready(async () =>
      accounts.observe(
        await client.create(
          resources.serviceAccounts,
          { metadata: { name: ACCOUNT, namespace } },
          { namespace, signal },
        ),
      ),
    )
  }
  const maps = informers.of(resources.configMaps)
  const map = maps.get(joinKey(namespace, CA_NAME))
  if (map?.data?.['ca.crt'] === ca) return
  if (map) {
    maps.observe(await client.patch(resources.configMaps, CA_NAME, { data: { 'ca.crt': ca } }, { namespace, signal }))
    return
  }
  await unlessThereAlready(async () =>
    maps.observe(
      await client.create(
        resources.configMaps,
        {
          metadata: { name: CA_NAME, namespace, annotations: { 'kubernetes.io/description': CA_DESCRIPTION } },
          data: { 'ca.crt': ca },
        },
        { namespace, signal },
      ),
    ),
  )
}

/** Somebody else made it, or the namespace went away meanwhile: both are fine. */
async function unlessThereAlready(create: () => Promise<void>): Promise<void> {
  try {
    await create()
  } catch (error) {
    const terminating = isApiError(error) && error.reason === 'Forbidden' && /being terminated/.test(error.message)
    if (!isAlreadyExists(error) && !terminating && !(isApiError(error) && error.reason === 'NotFound')) throw error
  }
}
