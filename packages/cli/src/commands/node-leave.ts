import { createClient, createHttpTransport, findConnection, isNotFound, resources } from '@caisson/client'
import { CliError } from '../cli-error.ts'
import { endDaemon } from '../cluster/end-daemon.ts'
import { isNormalUser } from '../cluster/user-namespace.ts'
import type { GlobalOptions } from '../global-options.ts'
import { type JoinedNode, nodeDataDirectory, readJoinedNode, removeNodeFiles } from '../node/joined-node.ts'
import { NODE_ID } from '../node/node-identity.ts'
import { revokeNodeRights, unlessMissing } from '../node/node-rights.ts'

export interface NodeLeaveOptions extends GlobalOptions {
  deleteNode?: boolean
  kubeconfig?: string
  timeout: string
}

/** Nothing is drained: what is to go on elsewhere has to be moved before. What was begun and failed can be done again. */
export async function nodeLeave(options: NodeLeaveOptions): Promise<void> {
  if (isNormalUser()) throw new CliError('not-permitted', 'a node of a cluster is root’s: run it as root')
  const directory = nodeDataDirectory(options.dataDir)
  const node = readJoinedNode(directory)
  if (!node)
    throw new CliError(
      'not-found',
      `${directory.root} is no node of a cluster: name the directory of one with --data-dir`,
    )
  await endDaemon(directory, options.timeout)
  if (options.deleteNode) await deleteNode(node, options)
  removeNodeFiles(directory)
  console.log(
    options.deleteNode
      ? `node ${node.name} has left ${node.cluster.server}`
      : `node ${node.name} is gone from this machine, and still in the cluster: 'kubectl delete node ${node.name}' takes it out`,
  )
}

async function deleteNode(node: JoinedNode, { context, kubeconfig }: NodeLeaveOptions): Promise<void> {
  const given = { ...(kubeconfig !== undefined && { kubeconfig }), ...(context !== undefined && { context }) }
  const connection = await findConnection(Object.keys(given).length > 0 ? given : node.joinedWith)
  if (connection.server !== node.cluster.server)
    throw new CliError(
      'usage',
      `this machine is a node of ${node.cluster.server}, not of ${connection.server}: name its cluster with --context`,
    )
  await using transport = createHttpTransport(connection)
  const client = createClient(transport, { fieldManager: 'caisson-node-leave' })
  const { name } = node
  const found = await client.get(resources.nodes, name).catch((error: unknown) => {
    if (!isNotFound(error)) throw error
    return undefined
  })
  // Somebody may have given the name to another machine.
  if (found && found.metadata.annotations?.[NODE_ID] !== node.id) return
  const uid = found?.metadata.uid
  await client.delete(resources.nodes, name, uid === undefined ? {} : { preconditions: { uid } }).catch(unlessMissing)
  await client.delete(resources.leases, name, { namespace: 'kube-node-lease' }).catch(unlessMissing)
  await revokeNodeRights(client, name)
}
