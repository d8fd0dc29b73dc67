/** Addresses and ports in one cell: three of them, and how many more there are. */
import type { KubeObject } from '@caisson/api'
import type { EndpointSubset } from 'kubernetes-types/core/v1.js'
import type { Endpoint, EndpointPort } from 'kubernetes-types/discovery/v1.js'

const SHOWN = 3

function shown(values: readonly string[]): string {
  const first = values.slice(0, SHOWN).join(',')
  return values.length > SHOWN ? `${first} + ${values.length - SHOWN} more...` : first
}

export function endpointsCell(object: KubeObject): string {
  const subsets = (object['subsets'] ?? []) as EndpointSubset[]
  if (subsets.length === 0) return '<none>'
  const values = subsets.flatMap(({ ports = [], addresses = [] }) => {
    if (ports.length === 0) return addresses.map(({ ip }) => ip)
    return ports.flatMap(({ port }) =>
      addresses.map(({ ip }) => (ip.includes(':') ? `[${ip}]:${port}` : `${ip}:${port}`)),
    )
  })
  return shown(values)
}

export function sliceEndpointsCell(object: KubeObject): string {
  const endpoints = (object['endpoints'] ?? []) as Endpoint[]
  return shown(endpoints.flatMap(({ addresses }) => addresses)) || '<unset>'
}

export function slicePortsCell(object: KubeObject): string {
  const ports = (object['ports'] ?? []) as EndpointPort[]
  return shown(ports.map(({ port, name }) => (port !== undefined ? String(port) : (name ?? '*')))) || '<unset>'
}
