import {
  type ImageStore,
  type PullProgress,
  type PullResult,
  RuntimeError,
  type RuntimeErrorCode,
} from '@caisson/runtime'
import { CliError, type CliErrorCode } from '../cli-error.ts'
import { say } from '../terminal-text.ts'
import { userCredentials } from './docker-config.ts'

const REDRAW_MS = 100
/** What takes longer says that it goes on, also where nothing can be drawn. */
const SILENCE_MS = 1000

/** Pulls with the user's own credentials; says on standard error that and how it goes, on a terminal as it goes. */
export async function pullWithProgress(store: ImageStore, name: string, signal: AbortSignal): Promise<PullResult> {
  const screen = process.stderr.isTTY ? createScreen(name) : undefined
  const notice = screen ? undefined : setTimeout(() => say(`pulling ${name}`), SILENCE_MS)
  const began = performance.now()
  try {
    const result = await store.pull(name, {
      credentials: userCredentials(),
      trusted: true,
      signal,
      ...(screen && { onProgress: screen.show }),
    })
    screen?.clear()
    const seconds = ((performance.now() - began) / 1000).toFixed(1)
    const what = result.isNew ? `pulled ${result.image.name} in ${seconds} s` : `${result.image.name} is up to date`
    say(`${what} (${megabytes(result.image.sizeBytes)})`)
    return result
  } catch (error) {
    screen?.clear()
    throw signal.aborted ? error : asCliError(error, { subject: name })
  } finally {
    clearTimeout(notice)
  }
}

const CODES: Partial<Record<RuntimeErrorCode, CliErrorCode>> = {
  'image-missing': 'not-found',
  'invalid-name': 'usage',
  'registry-denied': 'not-permitted',
  'registry-unreachable': 'unavailable',
  'registry-unavailable': 'unavailable',
}

const WAYS_OUT: Partial<Record<RuntimeErrorCode, string>> = {
  'registry-denied': "'docker login', or another file named by DOCKER_CONFIG, gives credentials",
}

const WITHOUT_REGISTRY = "without it, 'caisson image import FILE' brings an image from an archive"

const WITHOUT_ARCHIVE = "name an archive as 'docker save' or an OCI tool writes it"

export interface ErrorSubject {
  /** The image that was asked for or the file that was read, where the error is about one. */
  subject?: string | undefined
  kind?: 'image' | 'file'
  /** The next step where a registry is not there; the one of who wants an image of it where that is not given. */
  unreachable?: string
}

export function asCliError(
  error: unknown,
  { subject, kind = 'image', unreachable = WITHOUT_REGISTRY }: ErrorSubject = {},
): unknown {
  if (!(error instanceof RuntimeError)) return error
  // Of a registry's image nobody here has chosen the bytes.
  const isWrongFile = error.code === 'bad-archive' && kind === 'file'
  const wayOut = isWrongFile
    ? WITHOUT_ARCHIVE
    : error.code === 'registry-unreachable'
      ? unreachable
      : WAYS_OUT[error.code]
  const named = kind === 'file' ? subject : `image ${JSON.stringify(subject)}`
  const about = subject === undefined || error.message.includes(subject) ? '' : `${named}: `
  const message = `${about}${error.message}${wayOut === undefined ? '' : `: ${wayOut}`}`
  return new CliError(isWrongFile ? 'usage' : (CODES[error.code] ?? 'failed'), message, { cause: error })
}

interface Screen {
  show(progress: PullProgress): void
  clear(): void
}

/** One line that is drawn over. */
function createScreen(name: string): Screen {
  const layers = new Map<string, { size: number; bytes: number; unpacked: boolean }>()
  let timer: NodeJS.Timeout | undefined
  function draw(): void {
    timer = undefined
    const all = [...layers.values()]
    const [bytes, size] = [
      all.reduce((sum, each) => sum + each.bytes, 0),
      all.reduce((sum, each) => sum + each.size, 0),
    ]
    const unpacked = all.filter((each) => each.unpacked).length
    const line = `pulling ${name}: ${megabytes(bytes)} of ${megabytes(size)}, ${unpacked} of ${all.length} layers unpacked`
    process.stderr.write(`\r\x1b[K${line.slice(0, Math.max(20, (process.stderr.columns ?? 80) - 1))}`)
  }
  return {
    show(progress) {
      if (progress.kind === 'resolved')
        for (const { digest, size } of progress.layers) layers.set(digest, { size, bytes: 0, unpacked: false })
      else {
        const layer = layers.get(progress.digest)
        if (layer && progress.kind === 'download') layer.bytes = progress.bytes
        if (layer && progress.kind === 'present') layer.bytes = layer.size
        if (layer && progress.kind === 'unpacked') layer.unpacked = true
      }
      timer ??= setTimeout(draw, REDRAW_MS)
    },
    clear() {
      clearTimeout(timer)
      process.stderr.write('\r\x1b[K')
    },
  }
}

export function megabytes(bytes: number): string {
  return bytes < 1_000_000 ? `${Math.ceil(bytes / 1000)} kB` : `${(bytes / 1_000_000).toFixed(1)} MB`
}
