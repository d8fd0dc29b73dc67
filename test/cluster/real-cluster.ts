/**
 * A real Kubernetes control plane on loopback: etcd, kube-apiserver, kube-controller-manager and kube-scheduler, without
 * nodes. For tests that hold Caisson's own API server against it.
 *
 *   node test/cluster/real-cluster.ts [--no-controllers] [--nodes]     starts it, prints KUBECONFIG=…, stops on Ctrl-C
 *
 * `CAISSON_TEST_KUBERNETES` names another version than the one that everything is compared with.
 */
import { type ChildProcess, spawn } from 'node:child_process'
import { generateKeyPairSync, randomBytes } from 'node:crypto'
import { createWriteStream, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { request } from 'node:https'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { buildControlPlane, controlPlaneVersion } from './build-control-plane.ts'

export interface RealCluster extends AsyncDisposable {
  server: string
  token: string
  ca: string
  kubeconfig: string
  /** Of each process, for measuring its CPU time and memory; another one after `restart`. */
  pids: Readonly<Partial<Record<Component, number>>>
  /** Ends one with SIGKILL and starts it anew; resolves when the API server is ready. */
  restart(component: Component): Promise<void>
  /** Of a day ago, signed by the cluster's authority, which only a cluster that takes nodes in has. PEM. */
  issueClient(user: { name: string; groups?: string[]; validForMs: number }): { certificate: string; key: string }
}

export type Component = 'etcd' | 'kube-apiserver' | 'kube-controller-manager' | 'kube-scheduler'

export interface RealClusterOptions {
  /** False starts etcd and kube-apiserver only; names start these alone of kube-controller-manager's, and no scheduler. */
  controllers: boolean | readonly string[]
  /**
   * Takes nodes in: certificates are signed, nodes have their rights and a range of addresses each, and kube-apiserver
   * verifies who answers as a node.
   */
  nodes?: boolean
}

/** Of loopback, free now. */
export async function freePort(): Promise<number> {
  const server = createServer()
  await new Promise<void>((resolve, reject) => server.once('error', reject).listen(0, '127.0.0.1', resolve))
  const address = server.address()
  await new Promise((resolve) => server.close(resolve))
  if (typeof address !== 'object' || address === null) throw new Error('no free port on loopback')
  return address.port
}

/** Starts the control plane and waits until it is ready; disposing stops every process and removes its files. */
export async function startRealCluster(options: RealClusterOptions): Promise<RealCluster> {
  const bin = await buildControlPlane('all')
  const work = mkdtempSync(join(tmpdir(), 'caisson-real-cluster-'))
  const children: Partial<Record<Component, ChildProcess>> = {}
  const commands: Partial<Record<Component, string[]>> = {}
  const pids: Partial<Record<Component, number>> = {}
  const [etcdPort, peerPort, port] = [await freePort(), await freePort(), await freePort()]
  const token = randomBytes(16).toString('hex')
  const { privateKey, publicKey } = generateKeyPairSync('rsa', { modulusLength: 2048 })
  const key = join(work, 'service-account.key')
  const pub = join(work, 'service-account.pub')
  const tokens = join(work, 'tokens.csv')
  writeFileSync(key, privateKey.export({ type: 'pkcs1', format: 'pem' }), { mode: 0o600 })
  writeFileSync(pub, publicKey.export({ type: 'spki', format: 'pem' }))
  writeFileSync(tokens, `${token},admin,admin,system:masters\n`, { mode: 0o600 })

  const authority = options.nodes ? await nodeAuthority(work, port) : undefined

  const start = (name: Component, args: string[]): void => {
    const log = createWriteStream(join(work, `${name}.log`), { flags: 'a' })
    const child = spawn(join(bin, name), args, { cwd: work, stdio: ['ignore', 'pipe', 'pipe'] })
    child.stdout.pipe(log)
    child.stderr.pipe(log)
    children[name] = child
    commands[name] = args
    pids[name] = child.pid ?? 0
  }
  const kill = async (child: ChildProcess): Promise<void> => {
    if (child.exitCode !== null || child.signalCode !== null) return
    const gone = new Promise((resolve) => child.once('exit', resolve))
    child.kill('SIGKILL')
    await gone
  }
  const stop = async (): Promise<void> => {
    for (const child of Object.values(children).reverse()) await kill(child)
    rmSync(work, { recursive: true, force: true })
  }

  try {
    mkdirSync(join(work, 'etcd'))
    start('etcd', [
      `--data-dir=${join(work, 'etcd')}`,
      `--listen-client-urls=http://127.0.0.1:${etcdPort}`,
      `--advertise-client-urls=http://127.0.0.1:${etcdPort}`,
      `--listen-peer-urls=http://127.0.0.1:${peerPort}`,
      // A test's cluster is thrown away: what it wrote need not survive a power cut.
      '--unsafe-no-fsync',
    ])
    start('kube-apiserver', [
      `--etcd-servers=http://127.0.0.1:${etcdPort}`,
      '--bind-address=127.0.0.1',
      '--advertise-address=127.0.0.1',
      `--secure-port=${port}`,
      `--cert-dir=${join(work, 'certificates')}`,
      `--token-auth-file=${tokens}`,
      ...(authority ? authority.ofApiServer : ['--authorization-mode=RBAC']),
      '--service-account-issuer=https://kubernetes.default.svc',
      `--service-account-signing-key-file=${key}`,
      `--service-account-key-file=${pub}`,
      '--service-cluster-ip-range=10.96.0.0/16',
      '--allow-privileged=true',
      '--anonymous-auth=false',
      // 1.37 refuses to name an address of loopback in the Endpoints of Service kubernetes; 1.34 does it.
      ...(Number(controlPlaneVersion().split('.')[1]) > 34 ? ['--endpoint-reconciler-type=none'] : []),
    ])
    const server = `https://127.0.0.1:${port}`
    const kubeconfig = join(work, 'kubeconfig')
    const certificate = join(work, 'certificates', 'apiserver.crt')
    const untilReady = (): Promise<void> =>
      ready(`${server}/readyz`, token, () => children['kube-apiserver']?.exitCode ?? children['etcd']?.exitCode ?? null)
    await untilReady()
    const ca = readFileSync(certificate, 'utf8')
    writeFileSync(kubeconfig, kubeconfigOf(server, token, ca), { mode: 0o600 })
    const { controllers } = options
    if (controllers) {
      start('kube-controller-manager', [
        ...(controllers === true ? [] : [`--controllers=${controllers.join()}`]),
        `--kubeconfig=${kubeconfig}`,
        `--service-account-private-key-file=${key}`,
        `--root-ca-file=${certificate}`,
        '--use-service-account-credentials',
        '--leader-elect=false',
        '--secure-port=0',
        ...(authority?.ofControllerManager ?? []),
      ])
    }
    if (controllers === true)
      start('kube-scheduler', [`--kubeconfig=${kubeconfig}`, '--leader-elect=false', '--secure-port=0'])
    return {
      server,
      token,
      ca,
      kubeconfig,
      pids,
      async restart(component) {
        const [child, args] = [children[component], commands[component]]
        if (!child || !args) throw new Error(`${component} is no part of this cluster`)
        await kill(child)
        start(component, args)
        await untilReady()
      },
      issueClient(user) {
        if (!authority) throw new Error('only a cluster that takes nodes in has an authority')
        return authority.issueClient(user)
      },
      [Symbol.asyncDispose]: stop,
    }
  } catch (error) {
    await stop()
    throw error
  }
}

/** An authority of users and nodes, and what the control plane is told of it. */
async function nodeAuthority(
  work: string,
  port: number,
): Promise<{ ofApiServer: string[]; ofControllerManager: string[]; issueClient: RealCluster['issueClient'] }> {
  const { issueCertificate } = await import('../../packages/apiserver/src/authn/issue-certificate.ts')
  const pair = () => generateKeyPairSync('ec', { namedCurve: 'prime256v1' })
  const [own, client, proxy] = [pair(), pair(), pair()]
  const issuer = { subject: { commonName: 'cluster-ca' }, ...own }
  const [now, day] = [Date.now(), 86_400_000]
  const times = { notBefore: now - day, notAfter: now + day }
  const write = (name: string, content: string): string => {
    writeFileSync(join(work, name), content, { mode: 0o600 })
    return join(work, name)
  }
  const key = (name: string, { privateKey }: typeof own): string =>
    write(name, privateKey.export({ type: 'pkcs8', format: 'pem' }))
  const certificate = write(
    'ca.crt',
    issueCertificate({ ...times, issuer, subject: issuer.subject, usage: 'authority', publicKey: own.publicKey }),
  )
  const issue = (name: string, subject: Parameters<typeof issueCertificate>[0]['subject'], { publicKey }: typeof own) =>
    write(`${name}.crt`, issueCertificate({ ...times, issuer, subject, usage: 'client', publicKey }))
  const apiServer = { commonName: 'kube-apiserver-kubelet-client', organizations: ['system:masters'] }
  // Passes users on to servers that kube-apiserver stands before.
  const front = 'front-proxy-client'
  // Of its own, so that clusters beside it on the machine have others.
  const range = `10.${100 + (port % 100)}.${(port >> 6) & 252}.0/22`
  return {
    ofApiServer: [
      '--authorization-mode=Node,RBAC',
      '--enable-admission-plugins=NodeRestriction',
      `--client-ca-file=${certificate}`,
      `--kubelet-certificate-authority=${certificate}`,
      `--kubelet-client-certificate=${issue('kubelet-client', apiServer, client)}`,
      `--kubelet-client-key=${key('kubelet-client.key', client)}`,
      '--kubelet-preferred-address-types=InternalIP',
      `--requestheader-client-ca-file=${certificate}`,
      `--requestheader-allowed-names=${front}`,
      '--requestheader-username-headers=X-Remote-User',
      '--requestheader-group-headers=X-Remote-Group',
      '--requestheader-extra-headers-prefix=X-Remote-Extra-',
      `--proxy-client-cert-file=${issue('front-proxy', { commonName: front }, proxy)}`,
      `--proxy-client-key-file=${key('front-proxy.key', proxy)}`,
      '--enable-aggregator-routing',
    ],
    ofControllerManager: [
      `--cluster-signing-cert-file=${certificate}`,
      `--cluster-signing-key-file=${key('ca.key', own)}`,
      '--allocate-node-cidrs=true',
      `--cluster-cidr=${range}`,
      '--node-cidr-mask-size=24',
      '--service-cluster-ip-range=10.96.0.0/16',
    ],
    issueClient({ name, groups = [], validForMs }) {
      const { privateKey, publicKey } = pair()
      const subject = { commonName: name, organizations: groups }
      const notAfter = Date.now() + validForMs
      return {
        certificate: issueCertificate({ notBefore: now - day, notAfter, issuer, subject, usage: 'client', publicKey }),
        key: privateKey.export({ type: 'pkcs8', format: 'pem' }),
      }
    },
  }
}

function kubeconfigOf(server: string, token: string, ca: string): string {
  return JSON.stringify({
    apiVersion: 'v1',
    kind: 'Config',
    'current-context': 'real',
    clusters: [{ name: 'real', cluster: { server, 'certificate-authority-data': Buffer.from(ca).toString('base64') } }],
    users: [{ name: 'real', user: { token } }],
    contexts: [{ name: 'real', context: { cluster: 'real', user: 'real' } }],
  })
}

export interface OtherKubeconfig {
  server?: string
  /** A user that the administrator acts as. */
  as?: string
  /** Of a user of a kubeconfig, in place of the administrator's. */
  credentials?: Readonly<Record<string, string>>
}

/** The administrator's kubeconfig in another way, as a file beside it; its path. */
export function writeKubeconfig(
  { kubeconfig }: Pick<RealCluster, 'kubeconfig'>,
  name: string,
  { server, as, credentials }: OtherKubeconfig,
): string {
  const config = JSON.parse(readFileSync(kubeconfig, 'utf8'))
  if (server !== undefined) config.clusters[0].cluster.server = server
  if (credentials) config.users[0].user = credentials
  if (as !== undefined) config.users[0].user.as = as
  const file = join(dirname(kubeconfig), `kubeconfig-${name}`)
  writeFileSync(file, JSON.stringify(config), { mode: 0o600 })
  return file
}

/** Asks until the server says that it is ready; at most a minute. There is no event to wait for in another's process. */
async function ready(url: string, token: string, exited: () => number | null): Promise<void> {
  const deadline = Date.now() + 60_000
  for (;;) {
    const code = exited()
    if (code !== null) throw new Error(`the control plane ended with ${code} before it was ready`)
    const status = await new Promise<number>((resolve) => {
      // Its certificate is its own and not yet known here; nothing but the readiness of a process of ours is asked.
      const ask = request(
        url,
        { rejectUnauthorized: false, headers: { authorization: `Bearer ${token}` } },
        (response) => {
          response.resume()
          resolve(response.statusCode ?? 0)
        },
      )
      ask.on('error', () => resolve(0))
      ask.end()
    })
    if (status === 200) return
    if (Date.now() > deadline) throw new Error(`kube-apiserver was not ready after a minute: last answer ${status}`)
    await new Promise((resolve) => setTimeout(resolve, 100))
  }
}

if (import.meta.main) {
  const has = (option: string): boolean => process.argv.includes(option)
  await using cluster = await startRealCluster({ controllers: !has('--no-controllers'), nodes: has('--nodes') })
  console.log(`KUBECONFIG=${cluster.kubeconfig}`)
  await new Promise((resolve) => {
    process.once('SIGINT', resolve)
    process.once('SIGTERM', resolve)
  })
}
