/**
 * What documents say of the tree has to be there: the targets of their links, headings included, and the files and
 * directories that they name as `path/to/file.ts`. `apiserver/http` is `packages/apiserver/src/http`; a file's name alone has
 * to be that of some file. What they give to kubectl by `<<< '{…}'` has to be JSON: 1.32 reads nothing else that begins so.
 *
 *   node test/checks/documents.ts      lists what is missing, exits 1 where something is
 */
import { spawnSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { dirname, join } from 'node:path'

const LINK = /\]\(([^)\s]+)\)/g
const CODE = /`([^`\s]+)`/g
const GIVEN = /<<< '(\{.*\})'$/gm
/** Sources, not words of Kubernetes that have a slash, such as `pods/exec`. */
const SOURCE = /^[\w./-]+\.(?:ts|mjs|go|sh)$/

/** A tree's files by path, and the text of those that are documents. */
export interface Tree {
  files: readonly string[]
  read(document: string): string
}

/** One sentence for each thing that a document names and the tree lacks. */
export function documentFaults(document: string, { files, read }: Tree): string[] {
  const packages = new Set(files.flatMap((file) => /^packages\/(\w+)\//.exec(file)?.[1] ?? []))
  const isThere = (path: string): boolean => files.some((file) => file === path || file.startsWith(`${path}/`))
  const text = read(document)

  function linkFault(link: string): string[] {
    if (/^\w+:/.test(link)) return []
    const [target = '', heading] = link.split('#')
    const path = target === '' ? document : join(dirname(document), target)
    if (!isThere(path)) return [`${document} links to ${path}, which is not there`]
    if (heading === undefined || headingsOf(read(path)).includes(heading)) return []
    return [`${document} links to ${path}#${heading}, and no heading there has that name`]
  }

  function nameFault(code: string): string[] {
    const path = code.replace(/\/$/, '')
    const [first = '', ...rest] = path.split('/')
    const isOfPackage = packages.has(first) && rest.length > 0
    if (!isOfPackage && !SOURCE.test(path)) return []
    const found = isOfPackage
      ? isThere(`packages/${first}/src/${rest.join('/')}`)
      : files.some((file) => file === path || file.endsWith(`/${path}`))
    return found ? [] : [`${document} names ${code}, which is not there`]
  }

  function objectFault(given: string): string[] {
    try {
      JSON.parse(given)
      return []
    } catch {
      return [`${document} gives ${given}, which is no JSON`]
    }
  }

  return [
    ...[...text.matchAll(GIVEN)].flatMap(([, given = '']) => objectFault(given)),
    ...[...text.matchAll(LINK)].flatMap(([, link = '']) => linkFault(link)),
    ...[...text.matchAll(CODE)].flatMap(([, code = '']) => nameFault(code)),
  ]
}

/** As GitHub makes anchors of them. */
function headingsOf(text: string): string[] {
  return [...text.matchAll(/^#+ (.+)$/gm)].map(([, heading = '']) =>
    heading
      .toLowerCase()
      .replace(/[^\p{L}\p{N}\p{Pc}\- ]/gu, '')
      .replaceAll(' ', '-'),
  )
}

if (import.meta.main) {
  const root = join(import.meta.dirname, '../..')
  const { stdout } = spawnSync('git', ['ls-files', '--cached', '--others', '--exclude-standard'], {
    cwd: root,
    encoding: 'utf8',
  })
  const files = stdout.trim().split('\n')
  const read = (path: string): string => readFileSync(join(root, path), 'utf8')
  const faults = files.filter((file) => file.endsWith('.md')).flatMap((file) => documentFaults(file, { files, read }))
  for (const fault of faults) console.error(fault)
  process.exit(faults.length === 0 ? 0 : 1)
}
