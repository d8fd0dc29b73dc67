import { mkdir, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { RuntimeError } from '../runtime-error.ts'
import { replaceFile } from './replace-file.ts'

/** An IPv4 network in CIDR notation. */
export interface Cidr {
  /** First address, as a number. */
  base: number
  prefix: number
}

const SMALLEST_PREFIX = 16
const LARGEST_PREFIX = 24

/** Reads `a.b.c.d/n`, n from 16 to 24. */
export function parseCidr(text: string): Cidr {
  const match = /^(\d{1,3})\.(\d{1,3})\.(\d{1,3})\.(\d{1,3})\/(\d{1,2})$/.exec(text)
  const octets = match?.slice(1, 5).map(Number) ?? []
  const prefix = Number(match?.[5])
  if (!match || octets.some((octet) => octet > 255) || prefix < SMALLEST_PREFIX || prefix > LARGEST_PREFIX) {
    throw new RuntimeError(
      'network',
      `expected a network such as 10.213.0.0/16 with a prefix of 16 to 24, found ${JSON.stringify(text)}`,
    )
  }
  const address = octets.reduce((sum, octet) => sum * 256 + octet, 0)
  return { base: address - (address % 2 ** (32 - prefix)), prefix }
}

export function formatAddress(address: number): string {
  return [24, 16, 8, 0].map((shift) => Math.floor(address / 2 ** shift) % 256).join('.')
}

export function formatCidr({ base, prefix }: Cidr): string {
  return `${formatAddress(base)}/${prefix}`
}

/** The address of this machine that it asks sandboxes from whether they are well: the last one before the broadcast address. */
export function proberOf(cidr: Cidr): string {
  return formatAddress(cidr.base + endOf(cidr))
}

/** Above all numbers that sandboxes have. */
function endOf({ prefix }: Cidr): number {
  return 2 ** (32 - prefix) - 2
}

export function overlaps(one: Cidr, other: Cidr): boolean {
  const size = 2 ** (32 - Math.min(one.prefix, other.prefix))
  return Math.floor(one.base / size) === Math.floor(other.base / size)
}

/**
 * Hands out the addresses of a network, one file each, so that the next process knows whose they are. A number is not used
 * again before all others were, by the next process neither: what still answers to an old address, and what the kernel
 * still takes for a connection with it, shall not meet a new owner.
 */
export interface AddressAllocator {
  /** An address nobody owns; it belongs to nobody in particular until it is claimed. Throws where none is left. */
  allocate(): Promise<number>
  claim(index: number, owner: string): Promise<void>
  release(index: number): Promise<void>
  /** Owners by index; empty for what was allocated and not claimed. */
  owners(): ReadonlyMap<number, string>
}

// The network itself and the gateway.
const FIRST_INDEX = 2
/** Numbers that are written down as given before they are: one write for all of them. */
const AHEAD = 64

export async function openAddressAllocator(directory: string, cidr: Cidr): Promise<AddressAllocator> {
  await mkdir(directory, { recursive: true, mode: 0o700 })
  const end = endOf(cidr)
  const owners = new Map<number, string>()
  for (const name of await readdir(directory)) {
    const index = Number(name)
    if (!/^\d+$/.test(name) || index < FIRST_INDEX || index >= end) await rm(join(directory, name), { force: true })
    else owners.set(index, await readFile(join(directory, name), 'utf8'))
  }
  const limitFile = `${directory}.next`
  const stored = Number(await readFile(limitFile, 'utf8').catch(() => ''))
  let next =
    Number.isInteger(stored) && stored >= FIRST_INDEX && stored <= end
      ? stored
      : Math.max(FIRST_INDEX, ...owners.keys().map((index) => index + 1))
  /** Below it all are written down as given. */
  let limit = next

  async function writeDown(index: number): Promise<void> {
    if (index >= limit) {
      limit = Math.min(end, index + AHEAD)
      await replaceFile(limitFile, String(limit))
    }
    await writeFile(join(directory, String(index)), '', { mode: 0o600 })
  }

  return {
    owners: () => owners,
    async allocate() {
      for (let tried = FIRST_INDEX; tried < end; tried++) {
        if (next >= end) {
          next = FIRST_INDEX
          limit = FIRST_INDEX
        }
        const index = next++
        if (owners.has(index)) continue
        owners.set(index, '')
        try {
          await writeDown(index)
        } catch (error) {
          // On a full disk nobody is given it, and nobody has to be without it.
          owners.delete(index)
          limit = Math.min(limit, index)
          throw error
        }
        return index
      }
      throw new RuntimeError('network', `all ${end - FIRST_INDEX} addresses of ${formatCidr(cidr)} are in use`)
    },
    async claim(index, owner) {
      owners.set(index, owner)
      await replaceFile(join(directory, String(index)), owner)
    },
    async release(index) {
      await rm(join(directory, String(index)), { force: true })
      owners.delete(index)
    },
  }
}
