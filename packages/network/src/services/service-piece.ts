/** Services as rules of the kernel: a map from address, protocol and port to a chain that picks one of the targets. */
import { createHash } from 'node:crypto'
import type { RuleChain, RulePiece, RuleSet, SetElement } from '@caisson/runtime'
import type { ServicePort, Target } from './service-model.ts'

// Kubernetes' own bound of clients that are remembered for a target.
const AFFINITY = 'type ipv4_addr; size 65535; flags dynamic,timeout; timeout'

/** A port without targets adds nothing: whoever asks for it is refused. Names of ports are not looked at. */
export function servicePiece(ports: readonly ServicePort[]): RulePiece {
  const sets: RuleSet[] = []
  const chains: RuleChain[] = []
  const elements: SetElement[] = []
  for (const port of ports) {
    if (port.clusterIp === undefined || port.targets.length === 0) continue
    const chain = `s${port.id}`
    elements.push({
      set: 'services',
      key: `${port.clusterIp} . ${port.protocol} . ${port.port}`,
      value: `goto ${chain}`,
    })
    if (port.affinitySeconds === undefined || port.targets.length === 1) {
      chains.push({ name: chain, rules: [`meta l4proto ${port.protocol} dnat ip ${choice(port.targets)}`] })
      continue
    }
    const own = port.targets.map((target) => ({ target, name: targetName(port, target) }))
    for (const { target, name } of own) {
      sets.push({ name: `a${name}`, kind: 'set', declaration: `${AFFINITY} ${port.affinitySeconds}s` })
      chains.push({
        name: `e${name}`,
        rules: [
          `update @a${name} { ip saddr }`,
          `meta l4proto ${port.protocol} dnat ip to ${target.ip}:${target.port}`,
        ],
      })
    }
    const verdicts = own.map(({ name }, index) => `${index} : goto e${name}`)
    chains.push({
      name: chain,
      rules: [
        ...own.map(({ name }) => `ip saddr @a${name} goto e${name}`),
        `numgen random mod ${own.length} vmap { ${verdicts.join(', ')} }`,
      ],
    })
  }
  return { sets, chains, elements }
}

function choice(targets: readonly Target[]): string {
  const [first] = targets
  if (first && targets.length === 1) return `to ${first.ip}:${first.port}`
  const choices = targets.map(({ ip, port }, index) => `${index} : ${ip} . ${port}`)
  return `to numgen random mod ${targets.length} map { ${choices.join(', ')} }`
}

/** Another time-out makes another set: what a set was declared with stays. */
function targetName({ id, affinitySeconds }: ServicePort, { ip, port }: Target): string {
  return createHash('sha256').update(`${id} ${affinitySeconds} ${ip} ${port}`).digest('hex').slice(0, 16)
}
