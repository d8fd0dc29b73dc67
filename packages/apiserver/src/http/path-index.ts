/** `/`: what can be asked for, as far as it is no object. */
import type { PathHandler } from '../pipeline.ts'
import type { Registry } from '../registry/registry.ts'

/** Served where they are asked for, not kept in a list. */
const FURTHER = ['/.well-known/openid-configuration', '/openapi/v2', '/openapi/v3', '/openid/v1/jwks']

/** @param own the paths of the server itself */
export function pathIndex(
  registry: Pick<Registry, 'all'>,
  own: () => readonly string[],
  isServed: (path: string) => boolean,
): PathHandler {
  return () => {
    const paths = new Set(['/api', '/apis', ...own(), ...FURTHER.filter(isServed)])
    for (const { group, version } of registry.all()) {
      if (group === '') paths.add(`/api/${version}`)
      else paths.add(`/apis/${group}`).add(`/apis/${group}/${version}`)
    }
    paths.delete('/')
    return { status: 200, body: { paths: [...paths].sort() } }
  }
}
