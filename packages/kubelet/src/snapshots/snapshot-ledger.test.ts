import { existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { podDirectories } from '../pod-directories.ts'
import { openSnapshotLedger } from './snapshot-ledger.ts'

const namespaces = ['a', 'b', 'c']
const uids = ['one', 'two', 'three', 'four']
const step = fc.oneof(
  fc.record({
    what: fc.constant('enter' as const),
    uid: fc.constantFrom(...uids),
    namespace: fc.constantFrom(...namespaces),
    bytes: fc.nat(1e9),
  }),
  fc.record({ what: fc.constantFrom('forget' as const, 'restart' as const), uid: fc.constantFrom(...uids) }),
)

test('what each namespace has is the sum of its files, whatever was done in whatever order, also for the next agent', () => {
  fc.assert(
    fc.property(fc.array(step, { maxLength: 30 }), (steps) => {
      const root = mkdtempSync(join(tmpdir(), 'caisson-ledger-'))
      try {
        const directories = podDirectories(root)
        mkdirSync(directories.snapshots, { recursive: true })
        const expected = new Map<string, { namespace: string; bytes: number }>()
        let ledger = openSnapshotLedger(directories)
        for (const each of steps) {
          if (each.what === 'restart') ledger = openSnapshotLedger(directories)
          if (each.what === 'forget') {
            rmSync(directories.snapshot(each.uid), { recursive: true, force: true })
            ledger.forget(each.uid)
            expected.delete(each.uid)
          }
          if (each.what === 'enter') {
            mkdirSync(directories.snapshot(each.uid), { recursive: true })
            const { uid, namespace, bytes } = each
            ledger.enter(uid, { namespace, bytes })
            expected.set(uid, { namespace, bytes })
          }
          const sums = namespaces.map((namespace) =>
            [...expected.values()].reduce((sum, entry) => sum + (entry.namespace === namespace ? entry.bytes : 0), 0),
          )
          expect(namespaces.map((namespace) => ledger.used(namespace))).toEqual(sums)
          expect(uids.map((uid) => ledger.bytesOf(uid))).toEqual(uids.map((uid) => expected.get(uid)?.bytes))
        }
      } finally {
        rmSync(root, { recursive: true })
      }
    }),
    { numRuns: 50 },
  )
})

test.each(['', '{', '{}', '{"namespace":"a","bytes":-5}', 'null'])(
  'what cannot be read counts as not there: %j',
  (text) => {
    const root = mkdtempSync(join(tmpdir(), 'caisson-ledger-'))
    const directories = podDirectories(root)
    mkdirSync(directories.snapshot('one'), { recursive: true })
    writeFileSync(join(directories.snapshot('one'), 'owner.json'), text)
    const ledger = openSnapshotLedger(directories)
    expect([ledger.bytesOf('one'), ledger.used('a')]).toEqual([undefined, 0])
    ledger.enter('one', { namespace: 'a', bytes: 7 })
    expect([existsSync(join(directories.snapshot('one'), 'owner.json')), ledger.used('a')]).toEqual([true, 7])
    rmSync(root, { recursive: true })
  },
)
