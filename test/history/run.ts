/**
 * The long run: seed after seed, random faults, each history checked.
 *
 *   node test/history/run.ts           SEED=1 DURATION=600 (seconds)
 */
import { seeded } from '../differential/script.ts'
import { runCampaign } from './campaign.ts'
import { checkHistory } from './check.ts'
import { FAULTS, type Fault } from './faults.ts'
import { describeViolation, figuresOf } from './report.ts'

const first = Number(process.env['SEED'] ?? 1)
const end = performance.now() + Number(process.env['DURATION'] ?? 600) * 1000
const all = Object.keys(FAULTS) as Fault[]
const total = new Map<string, number>()
let failed = false

for (let seed = first; performance.now() < end && !failed; seed++) {
  const random = seeded(seed)
  const faults = Array.from({ length: 6 }, () => random.pick(all))
  const campaign = await runCampaign({ seed, faults, between: 1500 })
  const began = performance.now()
  const violations = checkHistory(campaign.history)
  const figures = { ...figuresOf(campaign), 'ms to check': Math.round(performance.now() - began) }
  for (const [name, value] of Object.entries(figures)) total.set(name, (total.get(name) ?? 0) + value)
  console.log(`seed ${seed}: ${faults.join(', ')}: ${JSON.stringify(figures)}`)
  for (const what of campaign.unexpected.slice(0, 5)) console.log(`UNEXPECTED with SEED=${seed}: ${what}`)
  const shortest = violations.toSorted((a, b) => a.evidence.length - b.evidence.length).slice(0, 3)
  for (const violation of shortest) console.log(`VIOLATION with SEED=${seed}: ${describeViolation(violation)}`)
  if (violations.length > 3) console.log(`and ${violations.length - 3} more`)
  failed = violations.length + campaign.unexpected.length > 0
  total.set('seeds', (total.get('seeds') ?? 0) + 1)
}
console.log(JSON.stringify(Object.fromEntries(total)))
process.exit(failed ? 1 : 0)
