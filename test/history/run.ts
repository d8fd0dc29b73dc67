/**
 * The long campaign: seed after seed with faults at random, each history checked. Ends at the first seed that shows
 * something, with the shortest part of its history that does.
 *
 *   SEED=1 DURATION=600 node test/history/run.ts           DURATION in seconds; FAULTS=a,b for these alone
 */
import { seeded } from '../differential/script.ts'
import { runCampaign } from './campaign.ts'
import { FAULTS, type Fault } from './faults.ts'
import { complaintsOf, figuresOf } from './report.ts'

const FAULTS_OF_A_SEED = 6
const SHOWN = 3

const end = performance.now() + Number(process.env['DURATION'] ?? 600) * 1000
const chosen = process.env['FAULTS']?.split(',') as Fault[] | undefined
const total = new Map<string, number>()
let complaints: readonly string[] = []

for (let seed = Number(process.env['SEED'] ?? 1); performance.now() < end && complaints.length === 0; seed++) {
  const random = seeded(seed)
  const faults = Array.from({ length: FAULTS_OF_A_SEED }, () => random.pick(chosen ?? (Object.keys(FAULTS) as Fault[])))
  const campaign = await runCampaign({ seed, faults, between: 1500 })
  complaints = complaintsOf(campaign)
  const figures = { seeds: 1, ...figuresOf(campaign) }
  for (const [name, value] of Object.entries(figures)) total.set(name, (total.get(name) ?? 0) + value)
  console.log(`SEED=${seed} ${JSON.stringify(figures)} ${faults.join(', ')}`)
  for (const complaint of complaints.slice(0, SHOWN)) console.log(complaint)
  if (complaints.length > SHOWN) console.log(`and ${complaints.length - SHOWN} more like it`)
}
console.log(
  `${complaints.length === 0 ? 'every law holds' : 'a law is broken'}: ${JSON.stringify(Object.fromEntries(total))}`,
)
process.exit(complaints.length === 0 ? 0 : 1)
