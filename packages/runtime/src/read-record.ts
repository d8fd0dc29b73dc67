import { readFile } from 'node:fs/promises'

/**
 * JSON that this runtime has written down. Undefined where it is not there, and where it is not whole: a machine that has
 * lost its power keeps a file's name and not what was in it, and none of what ran then goes on. What cannot be read now, as
 * where no more files may be opened, is not taken for either: it is about what runs.
 */
export async function readRecord<T>(path: string): Promise<T | undefined> {
  try {
    return JSON.parse(await readFile(path, 'utf8')) as T
  } catch (error) {
    if (error instanceof SyntaxError || (error as NodeJS.ErrnoException).code === 'ENOENT') return undefined
    throw new Error(`${path} cannot be read: ${(error as Error).message}`, { cause: error })
  }
}
