/** The node of this machine: its network and its agent, for whatever cluster their clients speak to. */
import { type Kubelet, type StartKubeletOptions, snapshotImages, startKubelet } from '@caisson/kubelet'
import { type Network, type StartNetworkOptions, startNetwork } from '@caisson/network'
import { createRuntime, type Runtime } from '@caisson/runtime'
import { readImageSettings } from '../images/images-file.ts'
import { type DataDirectory, toolsDirectory } from './data-directory.ts'
import { type NodeSettings, readNodeSettings } from './node-file.ts'
import { isInUserNamespace } from './user-namespace.ts'

export interface NodeRuntime {
  /** It takes a while to open; what else is started meanwhile need not wait. */
  opened: Promise<Runtime>
  imageBytes: number | undefined
  settings: NodeSettings
}

/** The runtime of a data directory as its administrator wants it. One process at a time may have it open. */
export async function openNodeRuntime(
  directory: DataDirectory,
  { serviceRange, podNetwork }: { serviceRange: string; podNetwork?: () => string | undefined },
): Promise<NodeRuntime> {
  const images = await readImageSettings(directory.images)
  const settings = await readNodeSettings(directory.node)
  const opened = createRuntime({
    stateDirectory: directory.runtime,
    toolsDirectory: toolsDirectory(directory),
    registries: images.registries,
    serviceRange,
    imagesKept: () => snapshotImages(directory.kubelet),
    ...(podNetwork && { podNetwork }),
    unprivileged: isInUserNamespace(),
  })
  return { opened, imageBytes: images.maxBytes, settings }
}

export interface StartNodeOptions {
  directory: DataDirectory
  runtime: NodeRuntime
  nodeName: string
  network: Omit<StartNetworkOptions, 'control' | 'nodeName' | 'signal' | 'onError'>
  kubelet: Pick<StartKubeletOptions, 'client' | 'informers' | 'recorder' | 'fake' | 'hostImage'> &
    Pick<Partial<StartKubeletOptions>, 'processes' | 'answerFor' | 'address' | 'apiPort' | 'ownFields'>
  signal: AbortSignal
  onError(error: unknown, where: string): void
  /** Told of the network as soon as it is there, before the agent is. */
  onNetwork?(network: Network): void
}

export interface StartedNode extends AsyncDisposable {
  kubelet: Kubelet
  network: Network
}

/** Resolves when the node is registered and has taken over what an earlier agent left. Disposing leaves sandboxes running. */
export async function startNode(options: StartNodeOptions): Promise<StartedNode> {
  const { directory, nodeName, signal, onError } = options
  const { opened, imageBytes, settings } = options.runtime
  await using stack = new AsyncDisposableStack()
  const runtime = await opened
  const network = stack.use(
    await startNetwork({ ...options.network, control: runtime.network, nodeName, signal, onError }),
  )
  options.onNetwork?.(network)
  const { dns } = options.network
  const kubelet = stack.use(
    await startKubelet({
      ...options.kubelet,
      runtime,
      network,
      dns: { clusterDomain: dns.domain, servers: [dns.address] },
      dataDir: directory.kubelet,
      imageBytes,
      hostPaths: settings.hostPaths,
      allowedSysctls: settings.allowedUnsafeSysctls,
      nodeName,
      signal,
      onError,
    }),
  )
  const owned = stack.move()
  return { kubelet, network, [Symbol.asyncDispose]: () => owned.disposeAsync() }
}
