/** Who asks, as API servers that are joined in are told it: they believe whoever has the front proxy's certificate. */
import type { UserInfo } from '@caisson/api'
import { StatusError } from '../status-error.ts'

/** Names and values, alternating. Throws Forbidden for a user whose name no header can say. */
export function userHeaders({ username, uid, groups, extra = {} }: UserInfo): string[] {
  return [
    'X-Remote-User',
    value(username),
    ...(uid ? ['X-Remote-Uid', value(uid)] : []),
    ...groups.flatMap((group) => ['X-Remote-Group', value(group)]),
    ...Object.entries(extra).flatMap(([key, values]) =>
      values.flatMap((each) => [`X-Remote-Extra-${encodeURIComponent(key)}`, value(each)]),
    ),
  ]
}

/** Whether a client could say with it who somebody is. */
export function saysWho(name: string): boolean {
  return (
    name.startsWith('x-remote-') || name.startsWith('impersonate-') || name === 'authorization' || name === 'cookie'
  )
}

/** The bytes of its UTF-8, which Node writes one for each character. */
function value(text: string): string {
  // Another server would read another name, perhaps somebody's.
  // oxlint-disable-next-line no-control-regex -- those are the ones
  if (/[\u0000-\u001f\u007f]|^\s|\s$/.test(text))
    throw new StatusError('Forbidden', `the name ${JSON.stringify(text)} cannot be told to another API server`, {
      details: {},
    })
  return Buffer.from(text).toString('latin1')
}
