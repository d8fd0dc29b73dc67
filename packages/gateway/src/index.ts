export { mintScopedToken, type ScopedClaims } from './authz/scoped-token.ts'
export type { ListenAddress } from './proxy/listener.ts'
export type { TlsOptions } from './proxy/tls-files.ts'
export { type AuthzOptions, type Router, type RouterOptions, startRouter } from './start-router.ts'
