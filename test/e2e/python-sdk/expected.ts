/** What the scripts beside this see, by versions of the SDK. */
import { expect } from 'vitest'

export const VERSIONS = ['0.5.6', '1.0.3', '1.0.8']

/** What every version sees through the router. */
export const ROUTED = {
  status: ['SandboxReady', 'Pod is Ready'],
  'is in the list': true,
  'is found by its label': true,
  'is active': true,
  'has an address': true,
  Pod: true,
  output: ['hi\n', '', 0],
  'errors and exit code': ['out\n', 'err\n', 3],
  signal: 143,
  kernel: '4.4.0',
  read: 'content\n',
  bytes: [0, 255],
  'command sees it': 0,
  list: [['plain.txt', 'file', 2]],
  exists: [true, false, false],
  missing: ['SandboxRequestError', 404],
  'out of the sandbox': ['SandboxRequestError', 403],
  streamed: [8_388_608, true],
  reattached: 0,
  unknown: 'SandboxNotFoundError',
  'unknown pool': 'SandboxWarmPoolNotFoundError',
  gone: false,
}
/** What later ones can do too. */
export const SINCE: Record<string, { every?: object; tunnel?: object; direct?: object }> = {
  '1.0.3': { tunnel: { 'environment of a claim': 'hello\n' } },
  '1.0.8': {
    every: { timeout: [124, true], 'nothing goes on': true, bounded: 'RuntimeError' },
    tunnel: { 'environment of a claim': 'hello\n' },
    direct: { twice: expect.stringMatching(/ApiException|ConflictException/), adopted: true },
  },
}

/** What asynchronous.py sees. */
export function seenAsynchronously(version: string): object {
  const same = {
    different: 3,
    results: Array.from({ length: 3 }, () => ['out\n', 3]),
    read: 'content',
    list: [['a b.txt', 7]],
    exists: [true, false],
    reattached: 'content',
    gone: [false, false, false],
  }
  return version === '1.0.8' ? { ...same, streamed: [3_000_000, true], adopted: true } : same
}
