/**
 * The embedded API server with the same requests in JSON and in protobuf, in turn: what a Pod's creation, its reading and a
 * list of all of them cost the server.
 *
 *   node test/bench/wire-forms.ts [--rounds 3] [--objects 2000]
 *
 * JSON lines: each phase of each round, after one that is not counted, with the CPU that the server used and the bytes of an
 * answer, then the ratios of the medians, protobuf to JSON.
 */
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import type { IncomingMessage } from 'node:http'
import { Agent, request } from 'node:https'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import type { KubeObject } from '../../packages/api/src/index.ts'
import { encodeObject } from '../../packages/apiserver/src/protobuf/encode.ts'
import { readDaemonRecord } from '../../packages/cli/src/cluster/daemon-record.ts'
import { dataDirectory } from '../../packages/cli/src/cluster/data-directory.ts'
import { loadKubeconfig } from '../../packages/client/src/index.ts'
import { startBenchCluster } from './bench-cluster.ts'
import { cpuSeconds } from './process-usage.ts'
import { median, rounded } from './statistics.ts'

const { values: options } = parseArgs({
  options: { rounds: { type: 'string', default: '3' }, objects: { type: 'string', default: '2000' } },
})
const COUNT = Number(options.objects)
const LANES = 32
const LISTS = 5
const TYPES = { json: 'application/json', protobuf: 'application/vnd.kubernetes.protobuf' } as const
type Form = keyof typeof TYPES

interface Row {
  phase: 'create' | 'get' | 'list'
  per_s: number
  /** Of the server, over the phase. */
  cpu_s: number
  /** Of the last answer. */
  bytes: number
}

await using cluster = await startBenchCluster({ up: ['--fake-runtime'] })
const record = readDaemonRecord(dataDirectory(cluster.dataDirectory))
if (!record) throw new Error('the embedded cluster is not running')
const { pid } = record
const kubeconfig = await loadKubeconfig({ path: join(cluster.dataDirectory, 'kubeconfig') })
const { server, certificateAuthority, clientCertificate, token } = kubeconfig.connection()
const material = (given: { data: string } | { file: string } | undefined) =>
  given === undefined ? undefined : 'data' in given ? given.data : readFileSync(given.file)
const agent = new Agent({
  keepAlive: true,
  maxSockets: LANES,
  ca: material(certificateAuthority),
  cert: material(clientCertificate?.certificate),
  key: material(clientCertificate?.key),
})

/** The whole answer, in bytes. */
async function ask(method: string, path: string, form: Form, body?: Buffer): Promise<number> {
  const headers: Record<string, string | number> = { accept: TYPES[form] }
  if (token) headers['authorization'] = `Bearer ${token}`
  if (body) Object.assign(headers, { 'content-type': TYPES[form], 'content-length': body.length })
  const outgoing = request(server + path, { method, agent, headers })
  outgoing.end(body)
  const [response] = (await once(outgoing, 'response')) as [IncomingMessage]
  let bytes = 0
  for await (const chunk of response as AsyncIterable<Buffer>) bytes += chunk.length
  if ((response.statusCode ?? 0) >= 300) throw new Error(`${method} ${path} was answered with ${response.statusCode}`)
  return bytes
}

async function measure(name: Row['phase'], count: number, each: (index: number) => Promise<number>): Promise<Row> {
  const [cpu, started] = [cpuSeconds(pid), performance.now()]
  let next = 0
  let bytes = 0
  const lane = async (): Promise<void> => {
    while (next < count) bytes = await each(next++)
  }
  await Promise.all(Array.from({ length: name === 'list' ? 1 : LANES }, lane))
  const seconds = (performance.now() - started) / 1000
  return { phase: name, per_s: Math.round(count / seconds), cpu_s: rounded(cpuSeconds(pid) - cpu), bytes }
}

/** No scheduler takes it up: what is measured are the requests alone. */
function pod(name: string): KubeObject {
  const env = Array.from({ length: 8 }, (_, index) => ({ name: `NAME_${index}`, value: 'a value of some length' }))
  const resources = { limits: { cpu: '500m', memory: '128Mi' } }
  const container = { name: 'main', image: 'example.com/image:1', env, resources, ports: [{ containerPort: 8080 }] }
  const spec = { schedulerName: 'nobody', containers: [container] }
  return { apiVersion: 'v1', kind: 'Pod', metadata: { name, labels: { app: 'bench' } }, spec } as KubeObject
}

async function run(form: Form, round: number): Promise<Row[]> {
  const namespace = `${form}-${round}`
  const metadata = { name: namespace, labels: { 'pod-security.kubernetes.io/enforce': 'privileged' } }
  const made = JSON.stringify({ apiVersion: 'v1', kind: 'Namespace', metadata })
  await ask('POST', '/api/v1/namespaces', 'json', Buffer.from(made))
  const path = `/api/v1/namespaces/${namespace}/pods`
  const encode = (object: KubeObject): Buffer =>
    form === 'json' ? Buffer.from(JSON.stringify(object)) : Buffer.from(encodeObject(object), 'latin1')
  const bodies = Array.from({ length: COUNT }, (_, index) => encode(pod(`p-${index}`)))
  const rows = [
    await measure('create', COUNT, (index) => ask('POST', path, form, bodies[index])),
    await measure('get', COUNT, (index) => ask('GET', `${path}/p-${index}`, form)),
    await measure('list', LISTS, () => ask('GET', path, form)),
  ]
  await ask('DELETE', `${path}?gracePeriodSeconds=0`, 'json')
  return rows
}

const all: Record<Form, Row[]> = { json: [], protobuf: [] }
for (let round = 0; round <= Number(options.rounds); round++) {
  for (const form of round % 2 === 0 ? (['json', 'protobuf'] as const) : (['protobuf', 'json'] as const)) {
    const rows = await run(form, round)
    if (round === 0) continue
    for (const row of rows) console.log(JSON.stringify({ bench: 'wire-forms', form, round, ...row }))
    all[form].push(...rows)
  }
}
agent.destroy()
for (const phase of ['create', 'get', 'list'] as const) {
  const of = (form: Form, field: 'per_s' | 'cpu_s' | 'bytes'): number =>
    median(all[form].filter((row) => row.phase === phase).map((row) => row[field]))
  const ratio = (field: 'per_s' | 'cpu_s' | 'bytes'): number => rounded(of('protobuf', field) / of('json', field))
  const ratios = { per_s: ratio('per_s'), cpu: ratio('cpu_s'), bytes: ratio('bytes') }
  console.log(JSON.stringify({ bench: 'wire-forms', ratio: 'protobuf/json', phase, ...ratios }))
}
