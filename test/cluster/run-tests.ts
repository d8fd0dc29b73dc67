/**
 * The tests of the controllers against a real kube-apiserver, which are those that run against the embedded one each time:
 * what one of the two does otherwise is a failure here.
 *
 *   node test/cluster/run-tests.ts [FILE…]      all of them, or those named
 *
 * `CAISSON_TEST_KUBERNETES=v1.32.13` builds and takes another version than the one that everything is compared with.
 */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { claimCrd, flatCrds, poolCrd, sandboxCrd, snapshotCrd, templateCrd } from '../../packages/api/src/index.ts'
import { connectCluster, installCrd } from '../../packages/controllers/src/testing/test-cluster.ts'
import { controlPlaneVersion, hasGo, NO_GO } from './build-control-plane.ts'
import { startRealCluster } from './real-cluster.ts'

const ROOT = join(import.meta.dirname, '../..')
const CONTROLLERS = join(ROOT, 'packages/controllers/src')
/** Those that ask for an API server take the one that is named to them. */
const ASKS_FOR_ONE = /\b(?:useClaims|useSandboxes|startEmbeddedCluster)\(/

/** All test files of the controllers that need an API server, as paths below the repository. */
function controllerTests(): string[] {
  return readdirSync(CONTROLLERS, { recursive: true, encoding: 'utf8' })
    .filter((file) => file.endsWith('.test.ts') && ASKS_FOR_ONE.test(readFileSync(join(CONTROLLERS, file), 'utf8')))
    .map((file) => `packages/controllers/src/${file}`)
    .sort()
}

if (!hasGo()) {
  console.error('Go is not installed, so there is no real control plane to run the tests against: they are not run.')
  process.exit(NO_GO)
}
const named = process.argv.slice(2)
console.log(`Kubernetes ${controlPlaneVersion()}`)
// Of its controllers those alone that count quotas, and empty the namespaces of tests that are over, for whose objects the
// controllers of those that follow would go on to try for Pods: tests bring along what else they need.
await using cluster = await startRealCluster({ controllers: ['resourcequota-controller', 'namespace-controller'] })
{
  await using admin = await connectCluster(cluster.kubeconfig)
  for (const crd of [sandboxCrd(), snapshotCrd(), templateCrd(), claimCrd(), poolCrd(), ...flatCrds()])
    await installCrd(admin.client, crd)
  // Which kinds there are it looks for when it starts, and then every 30 seconds.
  await cluster.restart('kube-controller-manager')
}
// The controllers of one test work in the namespaces of all.
const args = ['run', '--project', 'unit', '--no-file-parallelism', ...(named.length > 0 ? named : controllerTests())]
const env = { ...process.env, CAISSON_TEST_KUBECONFIG: cluster.kubeconfig }
const [code] = await once(spawn('vitest', args, { cwd: ROOT, stdio: 'inherit', env }), 'exit')
process.exitCode = typeof code === 'number' ? code : 1
