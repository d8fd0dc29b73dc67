import { expect, test } from 'vitest'
import { proxyFromEnvironment } from './proxy-environment.ts'

const HTTPS_PROXY = 'http://proxy:3128'

test.each<[string, NodeJS.ProcessEnv, string | undefined]>([
  ['https://api.test', {}, undefined],
  ['https://api.test', { HTTPS_PROXY }, HTTPS_PROXY],
  ['https://api.test', { https_proxy: 'proxy:3128' }, HTTPS_PROXY],
  ['http://api.test', { HTTPS_PROXY }, undefined],
  ['http://api.test', { HTTP_PROXY: 'socks5://proxy' }, 'socks5://proxy'],
  ['https://localhost:6443', { HTTPS_PROXY }, undefined],
  ['https://127.1.2.3:6443', { HTTPS_PROXY }, undefined],
  ['https://[::1]:6443', { HTTPS_PROXY }, undefined],
  ['https://api.test', { HTTPS_PROXY, NO_PROXY: '*' }, undefined],
  ['https://api.test', { HTTPS_PROXY, NO_PROXY: 'other, API.test' }, undefined],
  ['https://a.api.test', { HTTPS_PROXY, NO_PROXY: 'api.test' }, undefined],
  ['https://a.api.test', { HTTPS_PROXY, NO_PROXY: '.api.test' }, undefined],
  ['https://api.test', { HTTPS_PROXY, NO_PROXY: '.api.test' }, HTTPS_PROXY],
  ['https://myapi.test', { HTTPS_PROXY, NO_PROXY: 'api.test' }, HTTPS_PROXY],
  ['https://a.api.test', { HTTPS_PROXY, no_proxy: '*.api.test' }, undefined],
  ['https://api.test:6443', { HTTPS_PROXY, NO_PROXY: 'api.test:6443' }, undefined],
  ['https://api.test', { HTTPS_PROXY, NO_PROXY: 'api.test:6443' }, HTTPS_PROXY],
  ['https://api.test', { HTTPS_PROXY, NO_PROXY: 'api.test:443' }, undefined],
  ['https://10.1.2.3', { HTTPS_PROXY, NO_PROXY: '10.0.0.0/8' }, undefined],
  ['https://11.1.2.3', { HTTPS_PROXY, NO_PROXY: '10.0.0.0/8' }, HTTPS_PROXY],
  ['https://10.1.2.3', { HTTPS_PROXY, NO_PROXY: '10.0.0.0/99' }, HTTPS_PROXY],
  ['https://10.1.2.3', { HTTPS_PROXY, NO_PROXY: '10.1.2.3' }, undefined],
  ['https://[fd00::7]', { HTTPS_PROXY, NO_PROXY: 'fd00::/8' }, undefined],
  ['https://[fd00::7]:6443', { HTTPS_PROXY, NO_PROXY: '[fd00::7]:6443' }, undefined],
])('%s with %j', (server, env, proxy) => {
  expect(proxyFromEnvironment(new URL(server), env)).toBe(proxy)
})
