/** OCI bundles for runsc without Caisson, as the measure that Caisson is held against. */
import { existsSync, mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'

export interface BundleOptions {
  args: string[]
  /** Path of a network namespace; none of its own otherwise. */
  networkNamespace?: string
}

export function runscPath(env: Readonly<Record<string, string>>): string {
  const path = join(env['CAISSON_TOOLS_DIR'] ?? '', 'bin/runsc')
  return existsSync(path) ? path : 'runsc'
}

const LINKED = ['bin', 'sbin', 'lib', 'lib32', 'lib64', 'libx32', 'usr'] as const

/** A bundle whose root is a read-only view of this machine's programs, like the image caisson.dev/host. */
export async function hostRootfs(bundle: string, { args, networkNamespace }: BundleOptions): Promise<void> {
  const rootfs = join(bundle, 'rootfs')
  const present = LINKED.filter((name) => existsSync(`/${name}`))
  for (const name of [...present, 'proc', 'dev', 'sys', 'tmp', 'etc'])
    mkdirSync(join(rootfs, name), { recursive: true })
  const config = {
    ociVersion: '1.0.0',
    process: { user: { uid: 65_534, gid: 65_534 }, args, cwd: '/', env: ['PATH=/usr/bin:/bin'], noNewPrivileges: true },
    root: { path: rootfs, readonly: true },
    hostname: 'bench',
    mounts: [
      { destination: '/proc', type: 'proc', source: 'proc' },
      ...present.map((name) => ({
        destination: `/${name}`,
        type: 'bind',
        source: `/${name}`,
        options: ['rbind', 'ro'],
      })),
      { destination: '/tmp', type: 'tmpfs', source: 'tmpfs' },
    ],
    linux: {
      namespaces: [
        { type: 'pid' },
        { type: 'ipc' },
        { type: 'uts' },
        { type: 'mount' },
        { type: 'network', ...(networkNamespace && { path: networkNamespace }) },
      ],
    },
  }
  writeFileSync(join(bundle, 'config.json'), JSON.stringify(config))
}
