import { openSession } from '../cluster/session.ts'
import type { GlobalOptions, OutputFormat } from '../global-options.ts'
import { age, printList } from '../print.ts'
import { sandboxes } from '../sandboxes.ts'

export interface LsOptions extends GlobalOptions {
  allNamespaces?: boolean
  output?: OutputFormat
}

export async function ls(options: LsOptions): Promise<void> {
  await using session = await openSession(options)
  const { items } = await session.client.list(sandboxes, options.allNamespaces ? {} : { namespace: session.namespace })
  const rows = items.map((sandbox) => {
    const ready = sandbox.status?.conditions?.find((condition) => condition.type === 'Ready')
    return {
      kind: 'sandbox',
      name: sandbox.metadata.name ?? '',
      object: sandbox,
      cells: [
        ...(options.allNamespaces ? [sandbox.metadata.namespace ?? ''] : []),
        sandbox.metadata.name ?? '',
        ready?.status ?? 'Unknown',
        ready?.reason ?? '',
        age(sandbox.metadata.creationTimestamp, Date.now()),
      ],
      wide: [
        sandbox.status?.podIPs?.[0] ?? '',
        sandbox.spec.podTemplate.spec.containers[0]?.image ?? '',
        ready?.message ?? '',
      ],
    }
  })
  const columns = {
    always: [...(options.allNamespaces ? ['NAMESPACE'] : []), 'NAME', 'READY', 'REASON', 'AGE'],
    wide: ['IP', 'IMAGE', 'MESSAGE'],
  }
  if (rows.length === 0 && !options.output) console.error(`no sandboxes in namespace ${session.namespace}`)
  else await printList(rows, columns, options.output)
}
