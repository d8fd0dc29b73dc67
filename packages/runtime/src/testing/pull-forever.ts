import { openImageStore } from '../images/open-image-store.ts'

/** Pulls, imports, and removes two images in turn, says so when it begins, and waits to be killed. */
const [state = '', name = '', archive = ''] = process.argv.slice(2)
const store = await openImageStore(state)
process.stdout.write('begun\n')
for (;;) {
  await store.pull(name, { trusted: true })
  await store.import(archive)
  await store.remove(name)
  await store.remove('imported')
}
