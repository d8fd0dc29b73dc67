import type { KeyPair } from './certificates.ts'

export interface KubeconfigOptions {
  /** Such as `https://127.0.0.1:6443`. */
  server: string
  /** PEM. */
  authority: string
  /** Names the cluster and the context. */
  name: string
  user: string
  credentials: KeyPair | { token: string }
  namespace?: string
}

/**
 * A kubeconfig with everything inside it, as a value to print as YAML or JSON. It holds a secret: a file of it has to
 * have mode 0600.
 */
export function kubeconfig(options: KubeconfigOptions) {
  const { server, authority, name, user, credentials, namespace } = options
  const context = `${user}@${name}`
  return {
    apiVersion: 'v1',
    kind: 'Config',
    clusters: [{ name, cluster: { server, 'certificate-authority-data': base64(authority) } }],
    users: [
      {
        name: user,
        user:
          'token' in credentials
            ? { token: credentials.token }
            : {
                'client-certificate-data': base64(credentials.certificate),
                'client-key-data': base64(credentials.key),
              },
      },
    ],
    contexts: [{ name: context, context: { cluster: name, user, ...(namespace && { namespace }) } }],
    'current-context': context,
  }
}

function base64(text: string): string {
  return Buffer.from(text).toString('base64')
}
