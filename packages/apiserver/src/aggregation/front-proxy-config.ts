/** Where API servers that are joined in read whom to believe: kube-system/extension-apiserver-authentication. */
import { randomUUID } from 'node:crypto'
import { type KubeObject, kubernetesTime } from '@caisson/api'
import type { FrontProxy } from '../authn/certificates.ts'
import { deepEqual } from '../storage/freeze.ts'
import type { Store } from '../storage/store.ts'

const NAMESPACE = 'kube-system'
const NAME = 'extension-apiserver-authentication'

export interface FrontProxyConfigOptions {
  store: Store
  clientAuthority(): string
  frontProxy(): Promise<FrontProxy>
  /** ms since the epoch. */
  now(): number
}

/** Resolves when it says what is so now. Written past admission, as kube-apiserver writes it. */
export async function keepFrontProxyConfig({
  store,
  clientAuthority,
  frontProxy,
  now,
}: FrontProxyConfigOptions): Promise<void> {
  const { authority } = await frontProxy()
  const data = {
    'client-ca-file': clientAuthority(),
    'requestheader-allowed-names': '["front-proxy-client"]',
    'requestheader-client-ca-file': authority,
    'requestheader-extra-headers-prefix': '["X-Remote-Extra-"]',
    'requestheader-group-headers': '["X-Remote-Group"]',
    'requestheader-uid-headers': '["X-Remote-Uid"]',
    'requestheader-username-headers': '["X-Remote-User"]',
  }
  if (deepEqual(store.get('configmaps', NAMESPACE, NAME)?.['data'], data)) return
  await store.write((transaction) => {
    const current = transaction.get('configmaps', NAMESPACE, NAME)
    const metadata = current?.metadata ?? {
      name: NAME,
      namespace: NAMESPACE,
      uid: randomUUID(),
      creationTimestamp: kubernetesTime(now()),
    }
    const object: KubeObject = { apiVersion: 'v1', kind: 'ConfigMap', metadata: { ...metadata }, data }
    transaction.put('configmaps', object)
  })
}
