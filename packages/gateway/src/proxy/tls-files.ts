/** A server's certificate and key in files, which are read anew when they change: certificates are renewed while it runs. */
import { type FSWatcher, readFileSync, watch } from 'node:fs'
import { dirname } from 'node:path'
import { createSecureContext, type SecureContextOptions, type SecureVersion } from 'node:tls'

export interface TlsOptions {
  certificateFile: string
  keyFile: string
  /** Whose client certificates are taken. */
  clientAuthorityFile?: string
  /** Whether clients show a certificate: `optional` ones that are shown have to be right. */
  clients: 'off' | 'optional' | 'required'
  /** Default TLSv1.2. */
  minVersion?: SecureVersion
}

export interface TlsFiles extends Disposable {
  readonly context: SecureContextOptions
}

/** Files that belong together are written one after the other. */
const SETTLED_MS = 250

/**
 * Calls back with each new content that is right; one that is not goes to `onError`, and the one before stays in use.
 *
 * @throws Error where they are not right to begin with
 */
export function followTlsFiles(
  { certificateFile, keyFile, clientAuthorityFile }: TlsOptions,
  { onChange, onError }: { onChange(context: SecureContextOptions): void; onError(error: unknown): void },
): TlsFiles {
  const read = (): SecureContextOptions => {
    const context: SecureContextOptions = { cert: readFileSync(certificateFile), key: readFileSync(keyFile) }
    if (clientAuthorityFile !== undefined) context.ca = readFileSync(clientAuthorityFile)
    // Where certificate and key do not belong together it says so.
    createSecureContext(context)
    return context
  }
  let context = read()
  let settling: NodeJS.Timeout | undefined
  const readAgain = (): void => {
    try {
      context = read()
    } catch (error) {
      onError(error)
      return
    }
    onChange(context)
  }
  // Directories: what is renewed takes a file's place, or a link's to a directory beside it.
  const files = [certificateFile, keyFile, ...(clientAuthorityFile === undefined ? [] : [clientAuthorityFile])]
  const watchers = [...new Set(files.map((file) => dirname(file)))].map(
    (directory): FSWatcher =>
      watch(directory, () => {
        clearTimeout(settling)
        settling = setTimeout(readAgain, SETTLED_MS)
      }).on('error', onError),
  )
  return {
    get context() {
      return context
    },
    [Symbol.dispose]() {
      clearTimeout(settling)
      for (const watcher of watchers) watcher.close()
    },
  }
}
