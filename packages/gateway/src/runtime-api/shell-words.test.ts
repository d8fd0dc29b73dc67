import fc from 'fast-check'
import { expect, test } from 'vitest'
import { quoted } from './scripts.ts'
import { shellWords } from './shell-words.ts'

// As Python's shlex.split says.
test.each<[text: string, words: string[]]>([
  ['', []],
  ['  echo   hi\t\n', ['echo', 'hi']],
  ["echo 'a b'c", ['echo', 'a bc']],
  ['echo "a \\" \\\\ \\n $x"', ['echo', 'a " \\ \\n $x']],
  ["echo '\\n'", ['echo', '\\n']],
  ['a\\ b \\"', ['a b', '"']],
  ['\'\' ""', ['', '']],
  ['echo $HOME; ls | wc > f #x', ['echo', '$HOME;', 'ls', '|', 'wc', '>', 'f', '#x']],
  ['python3 -c "print(\'x\')"', ['python3', '-c', "print('x')"]],
])('%s', (text, words) => {
  expect(shellWords(text)).toEqual(words)
})

test.each([
  ["'a", 'No closing quotation'],
  ['"a', 'No closing quotation'],
  ['a\\', 'No escaped character'],
])('%s', (text, message) => {
  expect(() => shellWords(text)).toThrow(message)
})

test('words that are quoted for a shell come back', () => {
  fc.assert(
    fc.property(fc.array(fc.string({ unit: 'binary' })), (words) => {
      expect(shellWords(words.map(quoted).join(' '))).toEqual(words)
    }),
  )
})
