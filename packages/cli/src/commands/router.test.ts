import { expect, test } from 'vitest'
import { type RouterCommandOptions, router } from './router.ts'

const USUAL: RouterCommandOptions = {
  listen: '127.0.0.1:0',
  authzMode: 'allow-all',
  audience: [],
  tlsClients: 'off',
  proxyTimeout: '180s',
  upstreamMaxRetries: '3',
  runtimeApi: true,
} as Partial<RouterCommandOptions> as RouterCommandOptions

const TLS = { listenTls: '127.0.0.1:0', tlsCert: 'cert.pem', tlsKey: 'key.pem' }
const OPEN = 'could execute commands in every sandbox'
const SCOPED = { authzMode: 'scoped-token' } as const

test.each<[what: string, options: Partial<RouterCommandOptions>, message: string]>([
  ['everybody let in from anywhere', { listen: '0.0.0.0:80' }, OPEN],
  ['the same within TLS', { ...TLS, listenTls: ':443' }, OPEN],
  [
    'the same where certificates need not be shown',
    { ...TLS, listenTls: ':443', tlsClients: 'optional', tlsClientCa: 'ca.pem' },
    OPEN,
  ],
  ['no address', { listen: 'localhost' }, 'an address is host:port or unix:PATH, not "localhost"'],
  ['no keys', SCOPED, 'needs --scoped-token-keys FILE or --scoped-token-secret FILE'],
  ['keys for nothing', { scopedTokenSecret: 's' }, '--scoped-token-… options go with --authz-mode scoped-token'],
  ['an audience for nothing', { audience: ['a'] }, '--audience goes with --authz-mode tokenreview'],
  [
    'two versions without an end',
    { ...SCOPED, scopedTokenKeys: 'k', scopedTokenSecret: 's' },
    '--scoped-token-v1-until',
  ],
  [
    'an end of nothing',
    { ...SCOPED, scopedTokenKeys: 'k', scopedTokenV1Until: '2026-01-31T00:00:00Z' },
    '--scoped-token-v1-until goes with --scoped-token-secret',
  ],
  [
    'an end that is no time',
    { ...SCOPED, scopedTokenSecret: 's', scopedTokenV1Until: 'soon' },
    '--scoped-token-v1-until takes a time such as 2026-01-31T00:00:00Z, not soon',
  ],
  ['a certificate for nothing', { tlsCert: 'c' }, '--tls-… options go with --listen-tls'],
  [
    'TLS without a key',
    { listenTls: '127.0.0.1:0', tlsCert: 'c' },
    '--listen-tls needs --tls-cert FILE and --tls-key FILE',
  ],
  ['certificates of nobody', { ...TLS, tlsClients: 'required' }, 'go with --tls-client-ca FILE'],
  ['an authority for nothing', { ...TLS, tlsClientCa: 'ca.pem' }, 'go with --tls-client-ca FILE'],
])('%s', async (_what, options, message) => {
  await expect(router({ ...USUAL, ...options })).rejects.toThrow(message)
})
