import { describe, expect, test } from 'vitest'
import { chooseTarget, parseTargets, renderSource, runscSuite, signedBy } from './apt-source.ts'
import { runscBuildDate } from './tools.ts'

const DEBIAN = `http://archive.test/debian/|bookworm|main|
http://archive.test/debian/|bookworm|main|
http://archive.test/debian/|bookworm-updates|main|
http://archive.test/security/|bookworm-security|main|
http://vendor.test/apt/|stable|main|
`

describe('the archive of the machine', () => {
  test('is the one of its own release', () => {
    expect(chooseTarget(parseTargets(DEBIAN), 'bookworm')).toEqual({
      uri: 'http://archive.test/debian',
      suite: 'bookworm',
      component: 'main',
    })
  })

  test('is undefined where there is none', () => {
    expect(chooseTarget(parseTargets('http://vendor.test/apt/|noble|contrib|\n'), 'bookworm')).toBeUndefined()
  })

  test('gives runsc from the release after where its own is too old', () => {
    expect(['bookworm', 'trixie', 'sid', 'noble'].map(runscSuite)).toEqual(['trixie', 'trixie', 'sid', 'noble'])
  })

  test.each([
    [
      'deb822',
      'Types: deb\nURIs: http://archive.test/debian\nSuites: bookworm\nSigned-By: /usr/share/keyrings/a.gpg\n',
    ],
    ['one line', 'deb [arch=amd64 signed-by=/usr/share/keyrings/a.gpg] http://archive.test/debian bookworm main\n'],
  ])('is signed by the keyring that its source names (%s)', (_name, source) => {
    expect(
      signedBy(['Types: deb\nURIs: http://other.test\nSigned-By: /b.gpg\n', source], 'http://archive.test/debian'),
    ).toBe('/usr/share/keyrings/a.gpg')
  })

  test('is asked for another suite with the same keyring', () => {
    expect(
      renderSource(
        { uri: 'http://archive.test/debian', suite: 'bookworm', component: 'main', signedBy: '/a.gpg' },
        'trixie',
      ),
    ).toBe('Types: deb\nURIs: http://archive.test/debian\nSuites: trixie\nComponents: main\nSigned-By: /a.gpg\n')
  })
})

test.each([
  ['0.0~20240729.0', 20240729],
  ['release-20250910.0', 20250910],
  ['0.0~20221219.0-2+b3', 20221219],
  ['VERSION_MISSING', undefined],
])('the build %s is of %s', (version, expected) => expect(runscBuildDate(version)).toBe(expected))
