/** Opens the store in the directory given and says how that went: a second process for tests of the lock. */
import { openStore } from '../storage/sqlite-store.ts'

try {
  const store = openStore({ directory: process.argv[2] as string })
  process.stdout.write('open')
  await store[Symbol.asyncDispose]()
} catch (error) {
  process.stdout.write((error as { code: string }).code)
}
