/** Labels and taints as the command line has them. */
import { CliError } from '../cli-error.ts'
import type { Taint } from './joined-node.ts'

const KEY = /^(?:[a-z0-9](?:[a-z0-9.-]{0,251}[a-z0-9])?\/)?[A-Za-z0-9](?:[\w.-]{0,61}[A-Za-z0-9])?$/
const VALUE = /^(?:[A-Za-z0-9](?:[\w.-]{0,61}[A-Za-z0-9])?)?$/
const EFFECTS = ['NoSchedule', 'PreferNoSchedule', 'NoExecute'] as const

/** `a=b,c=d`, each option some of them. Throws a CliError that names what is wrong. */
export function parseLabels(options: readonly string[]): Record<string, string> {
  const labels = words(options).map((word): [string, string] => {
    const [, key = '', value = ''] = /^([^=]*)=(.*)$/.exec(word) ?? []
    if (!KEY.test(key) || !VALUE.test(value))
      throw new CliError('usage', `--labels takes labels such as tier=sandboxes, not ${JSON.stringify(word)}`)
    return [key, value]
  })
  return Object.fromEntries(labels)
}

/** `a=b:NoSchedule,c:NoExecute`. Throws a CliError that names what is wrong. */
export function parseTaints(options: readonly string[]): Taint[] {
  return words(options).map((word) => {
    const [, key = '', value, text] = /^([^=:]*)(?:=([^:]*))?:(.*)$/.exec(word) ?? []
    const effect = EFFECTS.find((each) => each === text)
    if (!KEY.test(key) || !VALUE.test(value ?? '') || !effect)
      throw new CliError(
        'usage',
        `--taints takes taints such as gvisor=only:NoSchedule (${EFFECTS.join(', ')}), not ${JSON.stringify(word)}`,
      )
    return { key, effect, ...(value && { value }) }
  })
}

function words(options: readonly string[]): string[] {
  return options.flatMap((option) => option.split(',')).filter((word) => word !== '')
}
