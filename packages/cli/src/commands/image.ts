import { access, constants, open, rm, stat } from 'node:fs/promises'
import { snapshotImages } from '@caisson/kubelet'
import { type Image, type ImageStore, openImageStore } from '@caisson/runtime'
import { CliError } from '../cli-error.ts'
import { type DataDirectory, dataDirectory, prepareDataDirectory } from '../cluster/data-directory.ts'
import { enterUserNamespace } from '../cluster/user-namespace.ts'
import type { GlobalOptions, OutputFormat } from '../global-options.ts'
import { userCredentials } from '../images/docker-config.ts'
import { readImageSettings } from '../images/images-file.ts'
import { asCliError, megabytes, pullWithProgress } from '../images/pull-with-progress.ts'
import { age, type Printed, printList } from '../print.ts'
import { sayWaiting } from '../say-waiting.ts'
import { say } from '../terminal-text.ts'

/** Images are files: they are there whether a cluster runs or not. */
export async function openStore(directory: DataDirectory): Promise<ImageStore> {
  // Its files are those of users that a normal user has in his namespace alone.
  enterUserNamespace(directory)
  prepareDataDirectory(directory)
  const { registries } = await readImageSettings(directory.images)
  return openImageStore(directory.runtime, { registries, imagesKept: () => snapshotImages(directory.kubelet) })
}

const storeOf = (options: GlobalOptions): Promise<ImageStore> => openStore(dataDirectory(options.dataDir))

export async function imagePull(options: GlobalOptions & { names: string[]; output?: OutputFormat }): Promise<void> {
  const store = await storeOf(options)
  const images: Image[] = []
  await interruptible(async (signal) => {
    for (const name of options.names) images.push((await pullWithProgress(store, name, signal)).image)
  })
  if (options.output) return print(images, options.output)
  for (const image of images) console.log(image.name)
}

export async function imageImport(
  options: GlobalOptions & { file: string; name?: string; output?: OutputFormat },
): Promise<void> {
  const { file, name, output } = options
  const source = file === '-' ? archiveOnInput() : await archiveFile(file)
  const store = await storeOf(options)
  using waiting = sayWaiting('the archive')
  const images = await interruptible((signal) =>
    store.import(source, { signal, ...(name !== undefined && { name }) }).catch((error: unknown) => {
      throw asCliError(error, { subject: file === '-' ? 'standard input' : file, kind: 'file' })
    }),
  )
  waiting[Symbol.dispose]()
  if (output) return print(images, output)
  for (const image of images) console.log(image.name)
}

function archiveOnInput(): NodeJS.ReadStream {
  if (!process.stdin.isTTY) return process.stdin
  throw new CliError('usage', 'an archive was expected on standard input, found a terminal: redirect it')
}

async function archiveFile(file: string): Promise<string> {
  const fail = (code: 'not-found' | 'usage', why: string, cause?: Error): never => {
    throw new CliError(code, `${file} ${why}: name an archive as docker save or an OCI tool writes it`, { cause })
  }
  try {
    await access(file, constants.R_OK)
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException
    fail('not-found', code === 'ENOENT' ? 'does not exist' : `cannot be read (${code})`, error as Error)
  }
  if ((await stat(file)).isDirectory()) fail('usage', 'is a directory')
  return file
}

const UNMADE: Record<string, string> = {
  EEXIST: 'is there already',
  ENOENT: 'is in a directory that does not exist',
}

export async function imageExport(options: GlobalOptions & { names: string[]; file: string }): Promise<void> {
  const store = await storeOf(options)
  const { names, file } = options
  using _ = sayWaiting('the archive')
  if (file === '-') {
    if (process.stdout.isTTY) throw new CliError('usage', 'an archive is not for a terminal: name a file, or redirect')
    return interruptible((signal) => store.export(names, process.stdout, signal))
  }
  const target = await open(file, 'wx', 0o600).catch((cause: NodeJS.ErrnoException) => {
    const why = UNMADE[cause.code ?? ''] ?? `cannot be made (${cause.code})`
    throw new CliError('usage', `${file} ${why}: name another file`, { cause })
  })
  try {
    await interruptible((signal) => store.export(names, target.createWriteStream(), signal))
  } catch (error) {
    await rm(file, { force: true })
    throw error
  }
}

const PUSH_ELSEWHERE =
  "'caisson image push NAME TO' gives it to another, and 'caisson image export NAME -f FILE' writes an archive"

export async function imagePush(options: GlobalOptions & { name: string; to?: string }): Promise<void> {
  const { name, to } = options
  const store = await storeOf(options)
  const digest = await interruptible((signal) =>
    store
      .push(name, {
        credentials: userCredentials(),
        signal,
        ...(to !== undefined && { to }),
        onProgress: ({ digest: blob, bytes, present }) =>
          say(`${blob.slice(7, 19)} ${present ? 'is there' : `sent (${megabytes(bytes)})`}`),
      })
      .catch((error: unknown) => {
        throw asCliError(error, { subject: to ?? name, unreachable: PUSH_ELSEWHERE })
      }),
  )
  console.log(digest)
}

export async function imageList(options: GlobalOptions & { output?: OutputFormat }): Promise<void> {
  await print(await (await storeOf(options)).list(), options.output)
}

export async function imageInspect(options: GlobalOptions & { names: string[]; output?: OutputFormat }): Promise<void> {
  const store = await storeOf(options)
  const images = await Promise.all(
    options.names.map(async (name) => {
      const image = await asked(() => store.get(name))
      if (!image) throw new CliError('not-found', `no image ${name} in the store: 'caisson image ls' lists them`)
      return image
    }),
  )
  await print(images, options.output ?? 'json')
}

export async function imageRemove(options: GlobalOptions & { names: string[] }): Promise<void> {
  const store = await storeOf(options)
  const missing: string[] = []
  for (const name of options.names) {
    if (await asked(() => store.remove(name))) console.log(name)
    else missing.push(name)
  }
  if (missing.length > 0)
    throw new CliError('not-found', `no image ${missing.join(', ')} in the store: 'caisson image ls' lists them`)
}

async function asked<T>(ask: () => Promise<T>): Promise<T> {
  try {
    return await ask()
  } catch (error) {
    throw asCliError(error)
  }
}

function print(images: readonly Image[], output: OutputFormat | undefined): Promise<void> {
  const rows = images.map(
    (image): Printed => ({
      kind: 'image',
      name: image.name,
      object: image,
      cells: [
        image.name,
        image.id.replace('sha256:', '').slice(0, 12),
        // The view of this machine has no files of its own.
        image.sizeBytes > 0 ? megabytes(image.sizeBytes) : '-',
        // Images that are to be the same whenever they are made say no time.
        image.createdAt > 0 ? age(new Date(image.createdAt).toISOString(), Date.now()) : '-',
      ],
      wide: [[...image.entrypoint, ...image.cmd].join(' '), image.repoDigests.join(' ')],
    }),
  )
  return printList(rows, { always: ['NAME', 'ID', 'SIZE', 'AGE'], wide: ['COMMAND', 'DIGESTS'] }, output)
}

/** Ctrl-C ends the work, which takes away what it had half done. */
async function interruptible<T>(work: (signal: AbortSignal) => Promise<T>): Promise<T> {
  const stop = new AbortController()
  const interrupt = (): void => stop.abort()
  process.once('SIGINT', interrupt).once('SIGTERM', interrupt)
  try {
    return await work(stop.signal)
  } catch (error) {
    if (!stop.signal.aborted) throw asCliError(error)
    throw new CliError('interrupted', 'interrupted: nothing was kept', { cause: error })
  } finally {
    process.off('SIGINT', interrupt).off('SIGTERM', interrupt)
  }
}
