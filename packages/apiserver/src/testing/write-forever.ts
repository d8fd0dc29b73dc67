/** Writes to the store in the directory given until it is killed, and says on stdout what was acknowledged. */
import { writeSync } from 'node:fs'
import { openStore } from '../storage/sqlite-store.ts'

const [directory = '', round = ''] = process.argv.slice(2)
const store = openStore({ directory })
for (let index = 0; ; index++) {
  const writes = Array.from({ length: 4 }, async (_, lane) => {
    const name = `p-${round}-${index}-${lane}`
    const object = { kind: 'Pod', apiVersion: 'v1', metadata: { name, namespace: 'a' }, text: 'x'.repeat(2000) }
    const stored = await store.write((transaction) => transaction.put('pods', object))
    if (lane > 0) return `a/${name} ${stored.metadata.resourceVersion} put`
    const last = await store.write((transaction) => transaction.delete('pods', stored))
    return `a/${name} ${last.metadata.resourceVersion} delete`
  })
  writeSync(1, `${(await Promise.all(writes)).join('\n')}\n`)
}
