/**
 * Which package may import which. A package imports only from packages above it in its own chain; `cli` composes all.
 * And no file leads back to itself: what two files need of each other stands in a third.
 *
 *   node test/checks/layers.ts      lists each import that breaks the order, exits 1 where there is one
 */
import { readdirSync, readFileSync } from 'node:fs'
import { join, relative } from 'node:path'

const MAY_IMPORT: Readonly<Record<string, readonly string[]>> = {
  api: [],
  client: ['api'],
  controllers: ['api', 'client'],
  controlplane: ['api', 'client', 'controllers'],
  runtime: [],
  network: ['api', 'client', 'runtime'],
  kubelet: ['api', 'client', 'runtime', 'network'],
  apiserver: ['api'],
  gateway: ['api', 'client'],
  cli: ['api', 'client', 'controllers', 'controlplane', 'runtime', 'network', 'kubelet', 'apiserver', 'gateway'],
}

const root = join(import.meta.dirname, '../..')

function sourceFiles(directory: string): string[] {
  return readdirSync(directory, { withFileTypes: true }).flatMap((entry) => {
    const path = join(directory, entry.name)
    if (entry.isDirectory()) return sourceFiles(path)
    return entry.name.endsWith('.ts') ? [path] : []
  })
}

/** Every import, of any file below `directory`, as [file, specifier]. */
function imports(directory: string): Array<[file: string, specifier: string]> {
  return sourceFiles(directory).flatMap((file) =>
    [...readFileSync(file, 'utf8').matchAll(/(?:from|import)\s*\(?\s*'([^']+)'/g)].map((match): [string, string] => [
      file,
      match[1] ?? '',
    ]),
  )
}

/** One sentence for each way back that a walk through a package's imports finds; types count, what is loaded when it is called does not. */
function circles(directory: string): string[] {
  const graph = new Map(
    sourceFiles(directory).map((file) => [
      file,
      [...readFileSync(file, 'utf8').matchAll(/ from '(\.[^']+)'/g)].map(([, specifier = '']) =>
        join(file, '..', specifier),
      ),
    ]),
  )
  const found: string[] = []
  const done = new Set<string>()
  const walk = (file: string, path: readonly string[]): void => {
    if (path.includes(file)) {
      const circle = [...path.slice(path.indexOf(file)), file].map((each) => relative(directory, each))
      found.push(`${relative(root, directory)}: ${circle.join(' imports ')}: put what both need into a file of its own`)
    }
    if (done.has(file)) return
    done.add(file)
    for (const imported of graph.get(file) ?? []) walk(imported, [...path, file])
  }
  for (const file of graph.keys()) walk(file, [])
  return found
}

/** One sentence for each import that breaks the order. */
export function layerViolations(): string[] {
  return readdirSync(join(root, 'packages')).flatMap((name) => {
    const allowed = MAY_IMPORT[name]
    if (!allowed) return [`packages/${name}: a package that test/checks/layers.ts does not know: give it its place`]
    return imports(join(root, 'packages', name, 'src'))
      .flatMap(([file, specifier]) => {
        const where = relative(root, file)
        const other = /^@caisson\/([^/]+)(\/.*)?$/.exec(specifier)
        if (other?.[2]) return [`${where} imports ${specifier}: only a package's index may be imported`]
        // A test may use whatever its package is used with, and so may what only tests use.
        const isTest = file.endsWith('.test.ts') || where.includes('/src/testing/')
        if (other?.[1] && other[1] !== name && !allowed.includes(other[1]) && !isTest) {
          return [`${where} imports ${specifier}: ${name} may import ${allowed.join(', ') || 'no other package'}`]
        }
        if (specifier.startsWith('.') && !join(file, '..', specifier).startsWith(join(root, 'packages', name))) {
          return [`${where} imports ${specifier}, outside its package: import the other package by its name`]
        }
        return []
      })
      .concat(circles(join(root, 'packages', name, 'src')))
  })
}

if (import.meta.main) {
  const violations = layerViolations()
  for (const violation of violations) console.error(violation)
  process.exit(violations.length === 0 ? 0 : 1)
}
