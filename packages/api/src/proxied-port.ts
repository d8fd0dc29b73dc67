/** A port of a Pod to which the API server carries a request: what it asks the Pod's node for. */
export interface ProxiedPort {
  namespace: string
  name: string
  uid: string
  port: number
  /** Whether it speaks TLS. Its certificate is not looked at: the connection can lead nowhere else. */
  tls: boolean
  /** Path and query, as the Pod is asked. */
  url: string
  /** What the API server's own path to it begins with, such as `/api/v1/namespaces/default/pods/web/proxy`. */
  prefix: string
}

/** How a browser, which cannot set headers, hands the API server its token when it opens a WebSocket: among the protocols. */
export const WEBSOCKET_BEARER = 'base64url.bearer.authorization.k8s.io.'
