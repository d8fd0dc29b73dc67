/**
 * Asks a real kube-apiserver again what the tests in src/registry/builtin/recorded.test.ts hold it to.
 *
 *     KUBE_TOKEN=… node packages/apiserver/scripts/record-answers.ts https://127.0.0.1:6443
 *
 * Each line of src/registry/builtin/recorded/*.jsonl is one question with the answer it got: an object that was to be
 * created, or one with a merge patch on it. The questions stay, the answers are written anew. The server has to be of the
 * version that this one says it is; nothing is left behind on it, but what it is asked goes into namespace `default`.
 */
import { readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { Agent, request } from 'node:https'

interface Question {
  /** `/api/v1/namespaces/default/pods` */
  path: string
  object: { metadata?: { name?: string } }
  /** A JSON merge patch on what was created. */
  patch?: object
  expect?: unknown
}

interface Answer {
  code: number
  body: {
    message?: string
    details?: { causes?: unknown[] }
    metadata?: Record<string, unknown>
    spec?: Record<string, unknown>
  }
}

const server = process.argv[2] ?? ''
// A server that is asked on loopback, with a certificate of its own making.
const agent = new Agent({ keepAlive: true, rejectUnauthorized: false })

function ask(method: string, path: string, body?: object, type = 'application/json'): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const headers = { authorization: `Bearer ${process.env['KUBE_TOKEN']}`, 'content-type': type }
    const asked = request(`${server}${path}`, { method, agent, headers }, (response) => {
      let text = ''
      response.setEncoding('utf8').on('data', (chunk: string) => {
        text += chunk
      })
      response.on('end', () => resolve({ code: response.statusCode ?? 0, body: JSON.parse(text) as Answer['body'] }))
    })
    asked.on('error', reject)
    asked.end(body && JSON.stringify(body))
  })
}

/** What admission adds on a real server, and what is different each time. */
function withoutOthersWork({ metadata = {}, spec, ...rest }: Answer['body']): object {
  const others = ['uid', 'creationTimestamp', 'resourceVersion', 'managedFields', 'generation', 'selfLink']
  for (const field of others) delete metadata[field]
  const finalizers = (metadata['finalizers'] ?? []) as string[]
  if (finalizers.some((name) => /^kubernetes\.io\/pvc?-protection$/.test(name))) delete metadata['finalizers']
  if (spec?.['containers']) {
    if (spec['priority'] === 0) delete spec['priority']
    if (spec['preemptionPolicy'] === 'PreemptLowerPriority') delete spec['preemptionPolicy']
    const tolerations = ((spec['tolerations'] ?? []) as Array<{ key?: string; tolerationSeconds?: number }>).filter(
      ({ key, tolerationSeconds }) => !(key?.startsWith('node.kubernetes.io/') && tolerationSeconds === 300),
    )
    if (tolerations.length) spec['tolerations'] = tolerations
    else delete spec['tolerations']
  }
  const taints = ((spec?.['taints'] ?? []) as Array<{ key: string }>).filter(
    ({ key }) => key !== 'node.kubernetes.io/not-ready',
  )
  if (spec && taints.length) spec['taints'] = taints
  else delete spec?.['taints']
  return { ...rest, metadata, ...(spec && { spec }) }
}

function expectation({ code, body }: Answer): object {
  if (code < 400) return { code, object: withoutOthersWork(body) }
  return body.details?.causes ? { code, causes: body.details.causes } : { code, message: body.message }
}

async function answer({ path, object, patch }: Question): Promise<object> {
  if (!patch) return expectation(await ask('POST', `${path}?dryRun=All&fieldValidation=Ignore`, object))
  const created = await ask('POST', path, object)
  if (created.code !== 201) throw new Error(`cannot create ${JSON.stringify(object)}: ${created.body.message}`)
  const one = `${path}/${object.metadata?.name}`
  const patched = await ask('PATCH', `${one}?dryRun=All`, patch, 'application/merge-patch+json')
  await ask('PATCH', one, { metadata: { finalizers: null } }, 'application/merge-patch+json')
  await ask('DELETE', `${one}?gracePeriodSeconds=0`)
  return expectation(patched)
}

// Jobs select by theirs.
const UUID = /[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}/g

const directory = new URL('../src/registry/builtin/recorded/', import.meta.url)
for (const file of readdirSync(directory)) {
  const url = new URL(file, directory)
  const lines: string[] = []
  for (const line of readFileSync(url, 'utf8').trim().split('\n')) {
    const { expect: _old, ...question } = JSON.parse(line) as Question
    lines.push(JSON.stringify({ ...question, expect: await answer(question) }).replaceAll(UUID, 'uid'))
  }
  writeFileSync(url, `${lines.join('\n')}\n`)
}
agent.destroy()
