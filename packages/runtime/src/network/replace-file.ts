import { rename, writeFile } from 'node:fs/promises'

/** Puts a private file with this text in place of what was there, in one step. */
export async function replaceFile(path: string, text: string): Promise<void> {
  await writeFile(`${path}.new`, text, { mode: 0o600 })
  await rename(`${path}.new`, path)
}
