/** What an embedded cluster holds from its first start on. */
import { isDeepStrictEqual } from 'node:util'
import type { CustomResourceDefinition } from '@caisson/api'
import {
  type AnyObject,
  type Client,
  type Draft,
  defineResource,
  isAlreadyExists,
  isNotFound,
  type Resource,
  resources,
} from '@caisson/client'
import { hostNamespace } from './host-namespace.ts'

/** Of the Service `kube-dns`: where Pods ask for names. */
export const DNS_ADDRESS = '10.96.0.10'

export interface StandardObjectsOptions {
  crds: readonly CustomResourceDefinition[]
  provisioner: string
  fakeRuntime: boolean
}

interface RuntimeClassFields {
  name: string
  handler: string
  /** What a sandbox takes beside its containers. */
  overhead?: { podFixed: Record<string, string> }
}

/**
 * Makes what is missing. The kinds of ours are brought up to this version's; the classes are left as they are where they
 * exist, since an administrator may have changed them.
 */
export async function standardObjects(
  client: Client,
  { crds, provisioner, fakeRuntime }: StandardObjectsOptions,
): Promise<void> {
  const definitions = defineResource<CustomResourceDefinition & { metadata: object }>({
    group: 'apiextensions.k8s.io',
    version: 'v1',
    plural: 'customresourcedefinitions',
    kind: 'CustomResourceDefinition',
    namespaced: false,
  })
  const classes: RuntimeClassFields[] = [
    { name: 'gvisor', handler: 'runsc' },
    { name: 'runc', handler: 'runc' },
    // There on every machine: where there can be no virtual machines, the Pod's own status says why.
    { name: 'kata', handler: 'kata', overhead: { podFixed: { memory: '160Mi', cpu: '250m' } } },
    { name: 'kata-fc', handler: 'kata-fc', overhead: { podFixed: { memory: '130Mi', cpu: '250m' } } },
    ...(fakeRuntime ? [{ name: 'fake', handler: 'fake' }] : []),
  ]
  await Promise.all([
    ...crds.map(bringUpToDate),
    ...classes.map(({ name, ...fields }) =>
      makeUnlessThere(client, resources.runtimeClasses, { metadata: { name }, ...fields }),
    ),
    makeUnlessThere(client, resources.namespaces, hostNamespace),
    // Nobody else gets its address, and everybody finds it where clusters have it.
    makeUnlessThere(client, resources.services, {
      metadata: {
        name: 'kube-dns',
        namespace: 'kube-system',
        labels: { 'k8s-app': 'kube-dns' },
      },
      spec: {
        clusterIP: DNS_ADDRESS,
        clusterIPs: [DNS_ADDRESS],
        ports: [
          { name: 'dns', port: 53, protocol: 'UDP' },
          { name: 'dns-tcp', port: 53, protocol: 'TCP' },
        ],
      },
    }),
    makeUnlessThere(client, resources.storageClasses, {
      metadata: { name: 'standard', annotations: { 'storageclass.kubernetes.io/is-default-class': 'true' } },
      provisioner,
      reclaimPolicy: 'Delete',
      volumeBindingMode: 'WaitForFirstConsumer',
    }),
    makeUnlessThere(client, resources.storageClasses, {
      metadata: { name: 'sized' },
      provisioner,
      parameters: { enforceSize: 'true' },
      reclaimPolicy: 'Delete',
      volumeBindingMode: 'WaitForFirstConsumer',
    }),
  ])
  /** Only where something differs: to have so large an object validated takes a tenth of the whole start. */
  async function bringUpToDate(crd: CustomResourceDefinition): Promise<void> {
    const stored = await client.get(definitions, crd.metadata.name ?? '').catch(unlessMissing)
    if (!isDeepStrictEqual(stored?.spec, crd.spec)) await client.apply(definitions, crd, { force: true })
  }

  // A class without its handler would keep Pods waiting for what never comes.
  if (!fakeRuntime) await client.delete(resources.runtimeClasses, 'fake').catch(unlessMissing)
}

/**
 * Makes an object where there is none of its name. Looks first: to have one decoded and validated only to be refused takes
 * a millisecond, and a start asks for twenty.
 */
export async function makeUnlessThere<T extends AnyObject>(
  client: Client,
  resource: Resource<T>,
  object: Draft<T> & Pick<AnyObject, 'metadata'>,
): Promise<void> {
  const { name = '', namespace } = object.metadata
  const options = namespace === undefined ? {} : { namespace }
  if (await client.get(resource, name, options).catch(unlessMissing)) return
  try {
    await client.create(resource, object, options)
  } catch (error) {
    if (!isAlreadyExists(error)) throw error
  }
}

function unlessMissing(error: unknown): undefined {
  if (!isNotFound(error)) throw error
  return undefined
}
