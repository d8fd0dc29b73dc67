/** How a node is known to its cluster. */
import type { ClusterConnection } from '@caisson/client'
import type { DataDirectory } from '../cluster/data-directory.ts'
import { type JoinedNode, nodeFiles } from './joined-node.ts'

/** Annotation of its Node: which data directory it is. */
export const NODE_ID = 'caisson.dev/node-id'

/** By its own certificate, which is read again when it was renewed. */
export function nodeConnection(directory: DataDirectory, { cluster }: JoinedNode): ClusterConnection {
  const { server, certificateAuthority, tlsServerName, proxyUrl } = cluster
  const file = nodeFiles(directory).clientPair
  return {
    server,
    namespace: 'default',
    ...(certificateAuthority !== undefined && { certificateAuthority: { data: certificateAuthority } }),
    ...(tlsServerName !== undefined && { tlsServerName }),
    ...(proxyUrl !== undefined && { proxyUrl }),
    clientCertificate: { certificate: { file }, key: { file } },
  }
}
