/** The controllers' Pod, as manifests and chart start it. */

/** There is no registry of the project: whoever builds the image (deploy/images) gives it to one of their own. */
export const IMAGE_REPOSITORY = 'caisson.dev/agent-sandbox-controller'

export function controllerImage(version: string): string {
  return `${IMAGE_REPOSITORY}:${version}`
}

export const PORTS = [
  { name: 'metrics', containerPort: 8080, protocol: 'TCP' },
  { name: 'healthz', containerPort: 8081, protocol: 'TCP' },
]

export const PROBES = {
  livenessProbe: { httpGet: { path: '/healthz', port: 'healthz' }, initialDelaySeconds: 15, periodSeconds: 20 },
  readinessProbe: { httpGet: { path: '/readyz', port: 'healthz' }, periodSeconds: 5 },
}

/** With 10,000 Sandboxes the process takes less than 300 MB: docs/performance.md. */
export const RESOURCES = { requests: { cpu: '100m', memory: '128Mi' }, limits: { memory: '512Mi' } }

/** What Pod Security calls restricted. The user is the image's. */
export const POD_SECURITY = {
  runAsNonRoot: true,
  runAsUser: 65_532,
  runAsGroup: 65_532,
  seccompProfile: { type: 'RuntimeDefault' },
}

export const CONTAINER_SECURITY = {
  allowPrivilegeEscalation: false,
  readOnlyRootFilesystem: true,
  capabilities: { drop: ['ALL'] },
}
