import { expect, test } from 'vitest'
import { parseGoUrl } from './go-url.ts'

test.each([
  ['https://example.com/a', { scheme: 'https', host: 'example.com' }],
  ['HTTPS://example.com:443', { scheme: 'https', host: 'example.com:443' }],
  ['https://u:p@example.com/?a=b#c', { user: 'u:p', host: 'example.com', query: 'a=b', fragment: 'c' }],
  ['a:b', { scheme: 'a', host: '' }],
  ['example.com/a', { scheme: '', host: '' }],
  ['//example.com', { scheme: '', host: 'example.com' }],
  ['https://[fd00::1]:443/', { host: '[fd00::1]:443' }],
  ['https:///a', { scheme: 'https', host: '' }],
  ['', { scheme: '', host: '' }],
])('%s', (text, parts) => {
  expect(parseGoUrl(text)).toMatchObject(parts)
})

test.each([
  [':a', 'parse ":a": missing protocol scheme'],
  ['1:2', 'parse "1:2": first path segment in URL cannot contain colon'],
  ['a\nb', 'parse "a\\nb": net/url: invalid control character in URL'],
  ['%zz', 'parse "%zz": invalid URL escape "%zz"'],
  ['https://a b/', 'parse "https://a b/": invalid character " " in host name'],
  ['https://a:x/', 'parse "https://a:x/": invalid port ":x" after host'],
  ['https://%41/', 'parse "https://%41/": invalid URL escape "%41"'],
  ['https://[::1/', 'parse "https://[::1/": missing \']\' in host'],
  ['https://a/#%', 'parse "https://a/#%": invalid URL escape "%"'],
])('%j is none', (text, error) => {
  expect(parseGoUrl(text)).toEqual({ error })
})

test('megabytes are taken apart in time in proportion', () => {
  for (const part of ['%', ':', '/', '@', '[', 'a:', ' ', '#', '?']) {
    const used = process.cpuUsage()
    parseGoUrl(`https://${part.repeat(1_000_000)}`)
    expect(process.cpuUsage(used).user / 1000, part).toBeLessThan(300)
  }
})
