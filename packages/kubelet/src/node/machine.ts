/** What this machine is, as a Node says it. */
import { readFileSync } from 'node:fs'
import { statfs } from 'node:fs/promises'
import { arch, availableParallelism, machine, networkInterfaces, release, totalmem } from 'node:os'

export interface Machine {
  /** Go's name: `amd64`, `arm64`. */
  architecture: string
  cpus: number
  memoryBytes: number
  storageBytes: number
  kernel: string
  osImage: string
  machineId: string
  bootId: string
  /** Where others on this machine's network reach it; the loopback where there is no network. */
  address: string
}

/** @param address where others reach it, where that is known better than by its interfaces */
export async function readMachine(directory: string, address = primaryAddress()): Promise<Machine> {
  const { blocks, bsize } = await statfs(directory)
  return {
    architecture: arch() === 'x64' ? 'amd64' : arch() === 'arm64' ? 'arm64' : machine(),
    cpus: availableParallelism(),
    memoryBytes: totalmem(),
    storageBytes: blocks * bsize,
    kernel: release(),
    osImage: /^PRETTY_NAME="?([^"\n]*)/m.exec(read('/etc/os-release'))?.[1] ?? 'Linux',
    machineId: read('/etc/machine-id').trim(),
    bootId: read('/proc/sys/kernel/random/boot_id').trim(),
    address,
  }
}

function read(path: string): string {
  try {
    return readFileSync(path, 'utf8')
  } catch {
    return ''
  }
}

export function primaryAddress(): string {
  const addresses = Object.values(networkInterfaces()).flatMap((addresses) => addresses ?? [])
  // A bridge of ours is not where the machine is.
  const own = new Set(
    Object.entries(networkInterfaces())
      .filter(([name]) => !/^(lo|docker|veth|br-|caisson|virbr|cni)/.test(name))
      .flatMap(([, addresses]) => (addresses ?? []).map(({ address }) => address)),
  )
  const found = addresses.find(({ family, internal, address }) => family === 'IPv4' && !internal && own.has(address))
  return found?.address ?? '127.0.0.1'
}
