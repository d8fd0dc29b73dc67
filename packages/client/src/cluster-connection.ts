/** Everything that one user needs to know to talk to one cluster: what a kubeconfig's context comes down to. */

/** PEM text, or the file that holds it and may change. */
export type Material = { data: string } | { file: string }

export interface ExecPlugin {
  apiVersion: 'client.authentication.k8s.io/v1' | 'client.authentication.k8s.io/v1beta1'
  command: string
  args: readonly string[]
  env: readonly { name: string; value: string }[]
  interactiveMode: 'Never' | 'IfAvailable' | 'Always'
  provideClusterInfo: boolean
  /** Shown when the command is not there. */
  installHint?: string | undefined
  /** Said by the cluster's extension `client.authentication.k8s.io/exec`; passed on as it is. */
  clusterConfig?: unknown
}

export interface Impersonation {
  user: string
  uid?: string | undefined
  groups?: readonly string[]
  extra?: Readonly<Record<string, readonly string[]>>
}

export interface ClusterConnection {
  /** Such as `https://127.0.0.1:6443`; may have a path. */
  server: string
  /** The system's certificate authorities where it is left out. */
  certificateAuthority?: Material
  insecureSkipTlsVerify?: boolean
  /** The name that the server's certificate has to carry, where it is not the host of `server`. */
  tlsServerName?: string
  /** `http://`, `https://` or `socks5://`. */
  proxyUrl?: string
  /** Of the context; `default` where it says none. */
  namespace: string
  clientCertificate?: { certificate: Material; key: Material }
  token?: string
  /** Wins over `token`; read again at most once a minute. */
  tokenFile?: string
  exec?: ExecPlugin
  /** Sent as it is, which the API server of Kubernetes has refused since 1.19: for proxies in front of it. */
  basic?: { username: string; password: string }
  impersonate?: Impersonation
}
