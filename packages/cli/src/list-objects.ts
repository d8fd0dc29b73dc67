import type { AnyObject, Resource } from '@caisson/client'
import { openSession, type Session } from './cluster/session.ts'
import type { GlobalOptions, OutputFormat } from './global-options.ts'
import { age, type Columns, type Printed, printList, printObject } from './print.ts'
import { listWhereFound } from './where-found.ts'

export interface ListOptions extends GlobalOptions {
  allNamespaces?: boolean
  output?: OutputFormat
}

/** How objects of a kind are printed: what stands between their names and their age. */
export interface Listing<T extends AnyObject> {
  resource: Resource<T>
  /** What several are called: `pools`. */
  plural: string
  columns: Columns
  /** Whether those that use directories and ports of this machine, in a namespace of their own, are listed with the rest. */
  ofThisMachine?: boolean
  row(object: T): { cells: readonly string[]; wide?: readonly string[] }
}

/** Prints those of the namespace, or of all; says on standard error where there are none. */
export async function listObjects<T extends AnyObject>(
  listing: Listing<T>,
  { allNamespaces = false, output, ...options }: ListOptions,
): Promise<void> {
  await using session = await openSession(options)
  const items = await itemsOf(session, listing, allNamespaces)
  const apart = allNamespaces || items.some(({ metadata }) => metadata.namespace !== session.namespace)
  if (items.length > 0 || output) return printObjects(listing, items, { allNamespaces: apart, output })
  const where = allNamespaces ? 'any namespace' : `namespace ${session.namespace}`
  console.error(`no ${listing.plural} in ${where}`)
}

async function itemsOf<T extends AnyObject>(
  session: Session,
  { resource, ofThisMachine = false }: Listing<T>,
  allNamespaces: boolean,
): Promise<readonly T[]> {
  if (ofThisMachine && !allNamespaces) return listWhereFound(session, resource)
  const { client, namespace } = session
  return (await client.list(resource, allNamespaces ? {} : { namespace })).items
}

/** Prints what a command has made: its name, or it alone in the form that was asked for. */
export function printMade<T extends AnyObject>(
  listing: Listing<T>,
  object: T,
  output: OutputFormat = 'name',
): Promise<void> {
  return output === 'json' || output === 'yaml'
    ? printObject(object, output)
    : printObjects(listing, [object], { output })
}

async function printObjects<T extends AnyObject>(
  { resource, columns, row }: Listing<T>,
  objects: readonly T[],
  { allNamespaces = false, output }: { allNamespaces?: boolean; output: OutputFormat | undefined },
): Promise<void> {
  const rows = objects.map((object): Printed => {
    const { cells, wide } = row(object)
    const { namespace = '', name = '', creationTimestamp } = object.metadata
    return {
      kind: resource.kind.toLowerCase(),
      name,
      object,
      cells: [...(allNamespaces ? [namespace] : []), name, ...cells, age(creationTimestamp, Date.now())],
      ...(wide && { wide }),
    }
  })
  const always = [...(allNamespaces ? ['NAMESPACE'] : []), 'NAME', ...columns.always, 'AGE']
  await printList(rows, { ...columns, always }, output)
}
