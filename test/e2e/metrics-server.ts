/** metrics-server beside a real control plane. */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { dirname, join } from 'node:path'
import { resources } from '../../packages/client/src/index.ts'
import { connectCluster } from '../../packages/controllers/src/testing/test-cluster.ts'
import { buildBeside } from '../cluster/build-control-plane.ts'
import { freePort, type RealCluster } from '../cluster/real-cluster.ts'

/**
 * A process of this machine, for which kube-apiserver answers.
 * @param host an address of this machine that kube-apiserver reaches
 */
export async function startMetricsServer({ kubeconfig }: RealCluster, host: string): Promise<AsyncDisposable> {
  const work = dirname(kubeconfig)
  const cluster = await connectCluster(kubeconfig)
  const program = await buildBeside('metrics-server')
  const port = await freePort()
  const server = spawn(
    program,
    [
      ...['kubeconfig', 'authentication-kubeconfig', 'authorization-kubeconfig'].map(
        (flag) => `--${flag}=${kubeconfig}`,
      ),
      `--secure-port=${port}`,
      `--cert-dir=${join(work, 'metrics-server')}`,
      `--kubelet-certificate-authority=${join(work, 'ca.crt')}`,
      '--kubelet-preferred-address-types=InternalIP',
      '--kubelet-use-node-status-port',
      '--kubelet-request-timeout=5s',
      '--metric-resolution=10s',
    ],
    { stdio: 'ignore' },
  )
  const [name, namespace, group] = ['metrics-server', 'kube-system', 'metrics.k8s.io']
  const { client } = cluster
  await client.create(
    resources.services,
    { metadata: { name }, spec: { ports: [{ name: 'https', port: 443, targetPort: port }] } },
    { namespace },
  )
  await client.create(
    resources.endpointSlices,
    {
      metadata: { name, labels: { 'kubernetes.io/service-name': name } },
      addressType: 'IPv4',
      ports: [{ name: 'https', port, protocol: 'TCP' }],
      endpoints: [{ addresses: [host] }],
    },
    { namespace },
  )
  const service = { name, namespace, port: 443 }
  await client.request({
    method: 'POST',
    path: '/apis/apiregistration.k8s.io/v1/apiservices',
    body: {
      apiVersion: 'apiregistration.k8s.io/v1',
      kind: 'APIService',
      metadata: { name: `v1beta1.${group}` },
      spec: {
        group,
        version: 'v1beta1',
        service,
        insecureSkipTLSVerify: true,
        groupPriorityMinimum: 100,
        versionPriority: 100,
      },
    },
  })
  return {
    async [Symbol.asyncDispose]() {
      server.kill('SIGKILL')
      await once(server, 'exit')
      await cluster[Symbol.asyncDispose]()
    },
  }
}
