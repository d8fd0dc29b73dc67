/** Commands that make this machine a node of another cluster, and no longer. */
import type { Command } from 'commander'
import type { NodeJoinOptions } from '../commands/node-join.ts'
import type { NodeLeaveOptions } from '../commands/node-leave.ts'
import { type Globals, repeated } from './options.ts'

export function addNodeCommands(caisson: Command, globals: Globals): void {
  const node = caisson
    .command('node')
    .description('make this machine a node of a Kubernetes cluster, whose Pods run under gVisor')
  node
    .command('join')
    .description('join the cluster of --context, or go on as the node that this machine is; needs root')
    .option('--kubeconfig <file>', 'of an administrator of the cluster (default: as kubectl finds it)')
    .option('--name <name>', 'of the node (default: the name of this machine)')
    .addOption(repeated('--labels <key=value,…>', 'of its Node'))
    .addOption(repeated('--taints <key=value:effect,…>', 'of its Node, given when it is made'))
    .option('--node-ip <address>', 'of this machine, where the cluster reaches it')
    .option('--port <port>', 'of the node’s API (default: 10250)')
    .option('--service-cidr <range>', 'of the cluster’s Services, where it does not say so itself')
    .option('--cluster-domain <name>', 'of names within the cluster (default: cluster.local)')
    .option('-d, --detach', 'in the background; returns when the node is ready')
    .action(async (options: Omit<NodeJoinOptions, 'context'>) =>
      (await import('../commands/node-join.ts')).nodeJoin({ ...globals(), ...options }),
    )
  node
    .command('leave')
    .description('stop every Pod of this node, and remove all that it has on this machine')
    .option('--delete-node', 'take the Node and its rights out of the cluster, too')
    .option('--kubeconfig <file>', 'of an administrator of the cluster (default: the one it was joined with)')
    .option('--timeout <duration>', 'how long its process may take before it is killed', '60s')
    .action(async (options: Omit<NodeLeaveOptions, 'context'>) =>
      (await import('../commands/node-leave.ts')).nodeLeave({ ...globals(), ...options }),
    )
}
