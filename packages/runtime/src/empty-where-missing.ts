/** For `catch`, where a directory is listed: what cannot be looked at now, as where no more files may be opened, is not empty. */
export function emptyWhereMissing(error: NodeJS.ErrnoException): never[] {
  if (error.code === 'ENOENT') return []
  throw error
}
