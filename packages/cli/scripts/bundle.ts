/** Bundles the sources to JavaScript, because Node does not strip types below node_modules, and so that a command starts fast. */
import { readdirSync } from 'node:fs'
import { builtinModules } from 'node:module'
import { basename, join } from 'node:path'
import { build, type InputOptions, type OutputOptions, type Plugin } from 'rolldown'

const PACKAGES = join(import.meta.dirname, '../..')

/** Files that are found by their place beside the source; in the bundle everything lies in one directory. */
const GENERATED = /new URL\((['`])(?:\.\.?\/)+generated\//g

/** Threads and processes of their own, which are started from their file. */
const STARTED = [
  'runtime/src/monitor/monitor-main',
  'runtime/src/images/unpack-worker',
  'kubelet/src/volumes/ownership-worker',
  'apiserver/src/http/yaml-worker',
]

const besideTheBundle: Plugin = {
  name: 'files beside the bundle',
  transform: {
    filter: { id: /packages\/[^/]+\/src\/.*\.ts$/, code: 'import.meta.url' },
    handler(text, path) {
      let code = text.replaceAll(GENERATED, 'new URL($1./generated/')
      for (const name of STARTED.map((source) => basename(source)))
        code = code.replaceAll(new RegExp(`new URL\\('\\./(?:\\w+/)?${name}\\.ts'`, 'g'), `new URL('./${name}.mjs'`)
      const left = /new URL\([^)]*\.ts'/.exec(code)
      if (left) throw new Error(`${path} finds ${left[0]} beside itself, which bundle.ts does not know of`)
      return { code }
    },
  },
}

/** Node has them loaded before a program begins; `tls` begins to read further authorities in a thread, which is waited for later. */
const LOADED_AT_ONCE = ['assert', 'buffer', 'events', 'fs', 'path', 'process', 'stream', 'timers', 'tls', 'url', 'util']

/**
 * Node's own modules as CommonJS has them, each loaded by the first use of what it has. To import one has Node read all that
 * it has, which loads more (of `fs` the streams, 3 ms), and few commands come to what `http`, `zlib` or `readline` are for.
 */
const builtinsOnUse: Plugin = {
  name: 'built-in modules on use',
  resolveId: {
    filter: { id: new RegExp(`^(?:node:(?:sqlite|test)|(?:node:)?(?:${builtinModules.join('|')}))$`) },
    handler: (id, importer) => (importer?.startsWith('\0rolldown') ? undefined : `\0node:${id.replace(/^node:/, '')}`),
  },
  load: {
    filter: { id: /^\0node:/ },
    handler(id) {
      const name = id.slice('\0node:'.length)
      const get = `process.getBuiltinModule('node:${name}')`
      const exported = process.getBuiltinModule(`node:${name}`) as object
      if (LOADED_AT_ONCE.includes(name) || typeof exported === 'function')
        return { code: `module.exports = ${get}`, moduleType: 'js' }
      const members = Object.keys(exported).map((member) => `  get ${member}() { return loaded().${member} },\n`)
      return {
        code: `let module_\nconst loaded = () => (module_ ??= ${get})\nmodule.exports = {\n${members.join('')}}\n`,
        moduleType: 'js',
      }
    },
  },
}

/** What dependencies ask for that we have no use for, and what they get. */
const ABSENT: ReadonlyArray<{ id: RegExp; importer: RegExp; code: string }> = [
  // Faster ones of somebody who installed them beside it; ws goes on without. Each is looked for in all directories above.
  { id: /^(?:bufferutil|utf-8-validate)$/, importer: /\/ws\//, code: "throw new Error('not in this package')" },
  // We allow none (`allowH2: false`), and it loads Node's HTTP/2 whether or not (3 ms).
  {
    id: /\/client-h2\.js$/,
    importer: /\/undici\//,
    code: "module.exports = () => { throw new Error('HTTP/2 is not in this package') }",
  },
]

const withoutTheAbsent: Plugin = {
  name: 'without the absent',
  resolveId(id, importer) {
    const index = ABSENT.findIndex((absent) => absent.id.test(id) && importer && absent.importer.test(importer))
    return index === -1 ? undefined : `\0absent:${index}`
  },
  load: {
    filter: { id: /^\0absent:/ },
    handler: (id) => ({
      code: `module.exports = {}\n${ABSENT[Number(id.slice('\0absent:'.length))]?.code}`,
      moduleType: 'js',
    }),
  },
}

/** What `caisson run` loads on its way is in one file with it, since a file more is 0.7 ms more; it runs when it is asked for. */
const AT_HAND = /import\(('(?:\.\.\/commands\/run\.ts|\.\/object-names\.ts|undici\/.*?)')\)/g

const atHand: Plugin = {
  name: 'at hand',
  transform: {
    filter: { id: /packages\/(?:cli|client)\/src\/.*\.ts$/, code: AT_HAND },
    handler: (text) => ({
      code: text.replaceAll(AT_HAND, (_whole, specifier: string) => {
        const required = `require(${specifier})`
        return `Promise.resolve(${specifier.startsWith("'undici/") ? `{ default: ${required} }` : required})`
      }),
    }),
  },
}

/** Node reads a file with any other character into twice the memory, in twice the time. */
const asciiOnly: Plugin = {
  name: 'ASCII only',
  generateBundle(_options, bundle) {
    for (const file of Object.values(bundle))
      if (file.type === 'chunk')
        file.code = file.code.replaceAll(
          /[^\0-\x7f]/g,
          (unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`,
        )
  },
}

const INPUT = {
  platform: 'node',
  transform: { target: 'node24' },
  plugins: [besideTheBundle, builtinsOnUse, withoutTheAbsent, atHand, asciiOnly],
  logLevel: 'warn',
  checks: { ineffectiveDynamicImport: false },
} satisfies InputOptions
const OUTPUT = { format: 'esm', comments: { legal: true, annotation: false, jsdoc: false } } satisfies OutputOptions

/** Writes `caisson.mjs` and what it loads into `directory`. */
export async function bundle(directory: string): Promise<void> {
  await build({
    ...INPUT,
    input: { caisson: join(PACKAGES, 'cli/src/start-installed.mjs') },
    output: {
      ...OUTPUT,
      dir: directory,
      entryFileNames: '[name].mjs',
      // Commands are loaded when they are called: `caisson ls` reads nothing of the API server.
      chunkFileNames: '[name]-[hash].mjs',
      codeSplitting: { groups: [{ name: 'command', test: /cli\/src\/(?:main|commands\/run)\.ts$/ }] },
    },
  })
  // In one file each: they share nothing with the others, and hold nothing that they do not need.
  for (const source of STARTED)
    await build({
      ...INPUT,
      input: join(PACKAGES, `${source}.ts`),
      output: { ...OUTPUT, file: join(directory, `${basename(source)}.mjs`), codeSplitting: false },
    })
}

/** The directories of files that the sources read from beside themselves. */
export function generatedDirectories(directory = PACKAGES): string[] {
  return readdirSync(directory, { withFileTypes: true }).flatMap((entry) => {
    if (!entry.isDirectory() || entry.name === 'node_modules') return []
    const path = join(directory, entry.name)
    return entry.name === 'generated' ? [path] : generatedDirectories(path)
  })
}
