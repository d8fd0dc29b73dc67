/** Sums of quantities by the name of what is measured. */

import type { ResourceList } from '../registry/builtin/resource-requirements.ts'
import { canonicalQuantity, formatQuantity, parseQuantity, type Quantity } from '../registry/quantity.ts'

export type Amounts = ReadonlyMap<string, Quantity>

const ONE: Quantity = { nano: 1_000_000_000n, format: 'DecimalSI' }

/** @param names of those that are wanted; all unless given */
export function amountsOf(
  list: ResourceList | null | undefined,
  names: Iterable<string> = Object.keys(list ?? {}),
): Map<string, Quantity> {
  const amounts = new Map<string, Quantity>()
  for (const name of names) {
    const text = list && Object.hasOwn(list, name) ? list[name] : undefined
    if (text !== undefined) amounts.set(name, parseQuantity(text))
  }
  return amounts
}

export function count(number: number): Quantity {
  return { nano: BigInt(number) * ONE.nano, format: 'DecimalSI' }
}

/** Adds in place. A sum is written as its first part that is not zero. */
export function addAmounts(to: Map<string, Quantity>, amounts: Amounts): void {
  for (const [name, amount] of amounts) {
    const sum = to.get(name)
    to.set(name, sum ? { nano: sum.nano + amount.nano, format: sum.nano === 0n ? amount.format : sum.format } : amount)
  }
}

/** The greater of each, in place. */
export function raiseAmounts(to: Map<string, Quantity>, amounts: Amounts): void {
  for (const [name, amount] of amounts) {
    const sum = to.get(name)
    if (!sum || amount.nano > sum.nano) to.set(name, amount)
  }
}

/** What `next` has more than `before`; never less than nothing. */
export function increase(next: Amounts, before: Amounts): Map<string, Quantity> {
  const more = new Map<string, Quantity>()
  for (const [name, amount] of next) {
    const nano = amount.nano - (before.get(name)?.nano ?? 0n)
    more.set(name, { nano: nano < 0n ? 0n : nano, format: amount.format })
  }
  return more
}

/** Only the names given. */
export function masked(amounts: Amounts, names: Iterable<string>): Map<string, Quantity> {
  const left = new Map<string, Quantity>()
  for (const name of names) {
    const amount = amounts.get(name)
    if (amount) left.set(name, amount)
  }
  return left
}

export function toResourceList(amounts: Amounts): Record<string, string> {
  return Object.fromEntries([...amounts].map(([name, amount]) => [name, canonicalQuantity(formatQuantity(amount))]))
}

/** `cpu=1,memory=1Gi` */
export function printedAmounts(amounts: Amounts): string {
  const names = [...amounts.keys()].sort()
  return names.map((name) => `${name}=${formatQuantity(amounts.get(name) as Quantity)}`).join(',')
}
