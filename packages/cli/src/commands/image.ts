import { type ImageStore, openImageStore } from '@caisson/runtime'
import { CliError } from '../cli-error.ts'
import { dataDirectory, prepareDataDirectory } from '../cluster/data-directory.ts'
import type { GlobalOptions, OutputFormat } from '../global-options.ts'
import { age, printList } from '../print.ts'

/** Images are files: they are there whether a cluster runs or not. */
async function openStore(options: GlobalOptions): Promise<ImageStore> {
  const directory = dataDirectory(options.dataDir)
  prepareDataDirectory(directory)
  return openImageStore(directory.runtime)
}

export async function imageImport(options: GlobalOptions & { file: string; name?: string }): Promise<void> {
  const store = await openStore(options)
  const images = await store.import(options.file, options.name === undefined ? {} : { name: options.name })
  for (const image of images) console.log(image.name)
}

export async function imageList(options: GlobalOptions & { output?: OutputFormat }): Promise<void> {
  const store = await openStore(options)
  const images = await store.list()
  const rows = images.map((image) => ({
    kind: 'image',
    name: image.name,
    object: image,
    cells: [
      image.name,
      image.id.replace('sha256:', '').slice(0, 12),
      megabytes(image.sizeBytes),
      age(new Date(image.createdAt).toISOString(), Date.now()),
    ],
    wide: [[...image.entrypoint, ...image.cmd].join(' ')],
  }))
  await printList(rows, { always: ['NAME', 'ID', 'SIZE', 'AGE'], wide: ['COMMAND'] }, options.output)
}

export async function imageRemove(options: GlobalOptions & { names: string[] }): Promise<void> {
  const store = await openStore(options)
  const missing: string[] = []
  for (const name of options.names) {
    if (await store.remove(name)) console.log(name)
    else missing.push(name)
  }
  if (missing.length > 0)
    throw new CliError('not-found', `no image ${missing.join(', ')} in the store: 'caisson image ls' lists them`)
}

function megabytes(bytes: number): string {
  return bytes < 1_000_000 ? `${Math.ceil(bytes / 1000)} kB` : `${(bytes / 1_000_000).toFixed(1)} MB`
}
