/**
 * docs/SPECIFICATION.md names, for each promise, the tests that hold it, as `FILE`: “NAME”. This check holds that each of
 * them is there, and that each row of a table of promises names one.
 *
 *   node test/checks/specification.ts      lists what is missing, exits 1 where something is
 */
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'

const root = join(import.meta.dirname, '../..')
const REFERENCE = /`([^`]+)`: “([^”]+)”/g

/**
 * One sentence for each fault of a specification's text.
 * @param read the source of a test file; undefined where there is none
 */
export function specificationFaults(text: string, read: (file: string) => string | undefined): string[] {
  const rows = text.split('\n').filter((line) => line.startsWith('|') && !/^\|[\s|-]+$/.test(line))
  // A table's heading says `held by` where the others name tests.
  const unheld = rows.filter((row) => !row.endsWith('| held by |') && [...row.matchAll(REFERENCE)].length === 0)
  const missing = [...text.matchAll(REFERENCE)].flatMap(([, file = '', name = '']) => {
    const source = read(file)
    if (source === undefined) return [`${file} is not there`]
    return source.includes(`('${name}',`) ? [] : [`${file} has no test “${name}”`]
  })
  return [...unheld.map((row) => `no test is named for ${row}`), ...missing]
}

if (import.meta.main) {
  const text = readFileSync(join(root, 'docs/SPECIFICATION.md'), 'utf8')
  const faults = specificationFaults(text, (file) => {
    const path = join(root, file)
    return existsSync(path) ? readFileSync(path, 'utf8') : undefined
  })
  for (const fault of faults) console.error(fault)
  process.exit(faults.length === 0 ? 0 : 1)
}
