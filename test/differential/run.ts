/**
 * The embedded API server against a real kube-apiserver: one long seeded script of requests goes to both, and every
 * answer must be the same, but for what known-differences.ts lists with its reason.
 *
 *   node test/differential/run.ts [--seed 1] [--rounds 2] [--only TEXT] [--show 40] [--dump FILE]
 *       [--generated 40] [--generated-alone]
 *
 * `--generated` is how many objects of each kind are made from its schema with a mistake in them, other ones for each
 * seed; with `--generated-alone` nothing else is asked.
 * `--dump` writes both answers to every step that differs, a line each, for looking closer.
 */
import { writeFileSync } from 'node:fs'
import { parseArgs } from 'node:util'
import { hasGo } from '../cluster/build-control-plane.ts'
import { startRealCluster } from '../cluster/real-cluster.ts'
import { differences } from './compare.ts'
import { startConversionWebhook } from './conversions.ts'
import { startEmbedded } from './embedded.ts'
import { generateScript } from './generate.ts'
import { KNOWN_DIFFERENCES, knownDifference } from './known-differences.ts'
import { createNormaliser } from './normalise.ts'
import { runScript } from './target.ts'

/** What docs/compatibility.md promises. */
const FEWEST_STEPS = 8_500
const MOST_KNOWN_DIFFERENCES = 30

const { values: options } = parseArgs({
  options: {
    seed: { type: 'string', default: '1' },
    rounds: { type: 'string', default: '2' },
    only: { type: 'string', default: '' },
    show: { type: 'string', default: '40' },
    dump: { type: 'string' },
    generated: { type: 'string', default: '40' },
    'generated-alone': { type: 'boolean', default: false },
  },
})

if (!hasGo()) {
  console.log('Go is not installed, so there is no kube-apiserver to compare with: the differential test is not run.')
  process.exit(0)
}

await using webhook = await startConversionWebhook()
const steps = generateScript({
  seed: Number(options.seed),
  rounds: Number(options.rounds),
  webhook,
  generated: Number(options.generated),
  generatedAlone: options['generated-alone'],
})
if (!options['generated-alone'] && steps.length < FEWEST_STEPS)
  throw new Error(`${steps.length} requests are fewer than the ${FEWEST_STEPS} that are promised`)
if (KNOWN_DIFFERENCES.length > MOST_KNOWN_DIFFERENCES)
  throw new Error(`${KNOWN_DIFFERENCES.length} known differences are more than ${MOST_KNOWN_DIFFERENCES}: mend some`)
await using real = await startRealCluster({ controllers: false })
await using embedded = await startEmbedded()
const [expected, found] = await Promise.all([
  runScript({ name: 'kube-apiserver', ...real }, steps),
  runScript({ name: 'caisson', ...embedded }, steps),
])

const left = createNormaliser()
const right = createNormaliser()
const groups = new Map<string, string[]>()
const used = new Map<string, number>()
const dumped: string[] = []
let same = 0
for (const { label } of steps) {
  const [a, b] = [expected.get(label), found.get(label)]
  if (!a || !b) continue
  const all = differences(left.answer(a), right.answer(b))
  const unknown = all.filter((difference) => {
    const reason = knownDifference(label, difference)
    if (reason) used.set(reason, (used.get(reason) ?? 0) + 1)
    return !reason
  })
  if (unknown.length === 0) {
    same++
    continue
  }
  dumped.push(`${JSON.stringify({ label, unknown, expected: a, found: b })}\n`)
  // One line a cause: the same difference at the same path of the same kind of step is one thing to mend.
  const signature = unknown
    .slice(0, 6)
    .map((difference) => (difference.length > 600 ? `${difference.slice(0, 600)}…` : difference))
    .join('\n    ')
    .replaceAll(/\b(o|m|x|l)\d+\b/g, '$1N')
  groups.set(signature, [...(groups.get(signature) ?? []), label])
}

if (options.dump !== undefined) writeFileSync(options.dump, dumped.join(''))

const shown = [...groups]
  .filter(([signature, labels]) => `${signature}${labels.join()}`.includes(options.only))
  .sort(([, a], [, b]) => b.length - a.length)
for (const [signature, labels] of shown.slice(0, Number(options.show))) {
  console.log(`${labels.length} × ${labels.slice(0, 3).join('; ')}\n    ${signature}`)
}
for (const { reason } of options['generated-alone'] ? [] : KNOWN_DIFFERENCES)
  if (!used.has(reason)) console.log(`no longer seen, take it out of the list: ${reason}`)
const failed = steps.length - same
console.log(
  `${steps.length} requests, ${groups.size} kinds of differences beyond the ${KNOWN_DIFFERENCES.length} that are known`,
)
console.log(`${same} passed, ${failed} failed`)
process.exitCode = failed === 0 ? 0 : 1
