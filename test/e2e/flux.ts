/** Flux's kustomize-controller as a process, and what it gets from Flux's source-controller: manifests, as an archive. */
import { execFileSync, spawn } from 'node:child_process'
import { createHash } from 'node:crypto'
import { once } from 'node:events'
import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { buildBeside, fluxCrds } from '../cluster/build-control-plane.ts'
import { findKubectl, must, run } from './fixture.ts'

export interface Flux extends AsyncDisposable {
  /** Gives it all that the directory holds now, and resolves when that is applied and healthy. */
  push(directory: string): Promise<void>
  /** Has it look again at once; what became of each object by then, such as `Sandbox/default/box: unchanged`. */
  reconcile(name: string): Promise<Record<string, string>>
}

/** What it says of one pass. */
interface Applied {
  name: string
  revision: string
  output: Record<string, string>
}

const NAMESPACE = 'flux-system'
const WAIT = '--timeout=60s'

/** @param parts Kustomizations, each of the directory of its name, after those before it; the last has to become healthy */
export async function startFlux(kubeconfig: string, parts: readonly string[]): Promise<Flux> {
  const kubectl = (args: readonly string[], input?: object) =>
    must(
      run(findKubectl() ?? 'kubectl', ['-n', NAMESPACE, ...args], {
        env: { KUBECONFIG: kubeconfig },
        ...(input && { input: JSON.stringify(input) }),
      }),
      `kubectl ${args.join(' ')}`,
    )
  const program = await buildBeside('kustomize-controller')
  await using starting = new AsyncDisposableStack()
  const work = mkdtempSync(join(tmpdir(), 'caisson-flux-'))
  starting.defer(() => rmSync(work, { recursive: true, force: true }))

  await kubectl(['apply', '--server-side', ...fluxCrds().flatMap((file) => ['-f', file])])
  const namespace = { apiVersion: 'v1', kind: 'Namespace', metadata: { name: NAMESPACE } }
  const source = { kind: 'GitRepository', name: 'git' }
  const objects = [
    {
      apiVersion: 'source.toolkit.fluxcd.io/v1',
      kind: source.kind,
      metadata: { name: source.name, namespace: NAMESPACE },
      spec: { interval: '1h', url: 'https://git.example.com/cluster' },
    },
    ...parts.map((name, at) => ({
      apiVersion: 'kustomize.toolkit.fluxcd.io/v1',
      kind: 'Kustomization',
      metadata: { name, namespace: NAMESPACE },
      spec: {
        interval: '1h',
        path: `./${name}`,
        prune: true,
        // Which it looks for every five seconds: of the last, that stands on the others.
        wait: at === parts.length - 1,
        timeout: '60s',
        sourceRef: source,
        dependsOn: parts.slice(0, at).map((before) => ({ name: before })),
      },
    })),
  ]
  await kubectl(['wait', '--for=condition=Established', WAIT, ...fluxCrds().flatMap((file) => ['-f', file])])
  await kubectl(['apply', '-f', '-'], { apiVersion: 'v1', kind: 'List', items: [namespace, ...objects] })

  const server = createServer(({ url = '' }, response) => response.end(readFileSync(join(work, url.slice(1)))))
  await once(server.listen(0, '127.0.0.1'), 'listening')
  starting.defer(() => void server.close())
  const { port } = server.address() as AddressInfo

  const temporary = join(work, 'tmp')
  mkdirSync(temporary)
  const addresses = ['--metrics-addr=0', '--health-addr=0', '--log-encoding=json', '--requeue-dependency=1s']
  const child = spawn(program, addresses, {
    env: { ...process.env, KUBECONFIG: kubeconfig, RUNTIME_NAMESPACE: NAMESPACE, TMPDIR: temporary },
    stdio: ['ignore', 'ignore', 'pipe'],
  })
  starting.defer(async () => {
    if (child.exitCode !== null) return
    child.kill('SIGTERM')
    await once(child, 'exit')
  })
  const passes: Applied[] = []
  let complaint = 'it complained of nothing'
  const looks = new Set<() => void>()
  createInterface({ input: child.stderr }).on('line', (line) => {
    if (line.includes('"level":"error"')) complaint = line
    if (!line.includes('"server-side apply completed"')) return
    passes.push(JSON.parse(line) as Applied)
    for (const look of looks) look()
  })
  /** Of that Kustomization, after so many of all. */
  function pass(name: string, after: number): Promise<Applied> {
    const { promise, resolve } = Promise.withResolvers<Applied>()
    const look = (): void => {
      const found = passes.slice(after).find((each) => each.name === name)
      if (found) resolve(found)
    }
    looks.add(look)
    look()
    return promise.finally(() => looks.delete(look))
  }

  async function untilSaid(name: string, field: string, value: string): Promise<void> {
    await kubectl(['wait', `kustomization/${name}`, `--for=jsonpath={.status.${field}}=${value}`, WAIT]).catch(
      (error) => {
        throw new Error(`${error.message}\n${complaint}`)
      },
    )
  }

  let revisions = 0
  let requests = 0
  const started = starting.move()
  return {
    async push(directory) {
      const revision = `main@sha1:${String(++revisions).padStart(40, '0')}`
      const name = `${revisions}.tar.gz`
      const copy = join(work, `tree-${revisions}`)
      cpSync(directory, copy, { recursive: true })
      execFileSync('tar', ['-czf', join(work, name), '-C', copy, '.'])
      const artifact = {
        path: name,
        url: `http://127.0.0.1:${port}/${name}`,
        revision,
        digest: `sha256:${createHash('sha256')
          .update(readFileSync(join(work, name)))
          .digest('hex')}`,
        lastUpdateTime: new Date().toISOString(),
      }
      const ready = { type: 'Ready', status: 'True', reason: 'Succeeded', message: 'stored' }
      const conditions = [{ ...ready, lastTransitionTime: artifact.lastUpdateTime }]
      const status = JSON.stringify({ status: { artifact, conditions, observedGeneration: 1 } })
      await kubectl(['patch', 'gitrepository', source.name, '--subresource=status', '--type=merge', '-p', status])
      for (const part of parts) await untilSaid(part, 'lastAppliedRevision', revision)
    },
    async reconcile(name) {
      const before = passes.length
      const value = `${++requests}`
      await kubectl(['annotate', '--overwrite', 'kustomization', name, `reconcile.fluxcd.io/requestedAt=${value}`])
      const { output } = await pass(name, before)
      await untilSaid(name, 'lastHandledReconcileAt', value)
      return output
    },
    [Symbol.asyncDispose]: () => started.disposeAsync(),
  }
}
