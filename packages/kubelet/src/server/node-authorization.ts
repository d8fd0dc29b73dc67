/** What may be asked of the node, which the cluster says. */
import type { UserInfo } from '@caisson/api'
import { type Client, resources } from '@caisson/client'
import type { NodeAccess } from './node-access.ts'

/** Rejects where the cluster could not be asked. */
export type Authorize = (user: UserInfo, access: NodeAccess, signal: AbortSignal) => Promise<boolean>

/** Asked for every request anew: what is taken away from somebody is taken away at once. */
export function createNodeAuthorization(client: Client, nodeName: string): Authorize {
  async function mayUse(user: UserInfo, verb: string, subresource: string, signal: AbortSignal): Promise<boolean> {
    const { username, groups, uid, extra } = user
    const spec = {
      user: username,
      groups: [...new Set([...groups, 'system:authenticated'])],
      ...(uid !== undefined && { uid }),
      ...(extra && { extra: structuredClone(extra) as Record<string, string[]> }),
      resourceAttributes: { verb, group: '', version: 'v1', resource: 'nodes', subresource, name: nodeName },
    }
    const { status } = await client.create(resources.subjectAccessReviews, { metadata: {}, spec }, { signal })
    return status?.allowed === true && !status.denied
  }

  return async (user, { verb, subresources }, signal) => {
    for (const subresource of subresources) if (await mayUse(user, verb, subresource, signal)) return true
    return false
  }
}
