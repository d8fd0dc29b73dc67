/**
 * What a hostile sandbox writes to the machine by the archive that it sends when somebody copies files out of it. The same
 * archive does its deed where whoever unpacks it trusts it.
 */
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { type Cluster, type Outcome, run, startCluster } from '../e2e/fixture.ts'
import { apply, pod, ready } from './attackers.ts'
import { expectRefused, PYTHON } from './controlled.ts'

/**
 * In the place of the sandbox's tar: an archive that begins as it was asked for and goes on with what the name that was
 * asked for stands for, meant for a directory two below the one that has `outside` in it.
 */
const LIAR = `
import io, sys, tarfile
asked = sys.argv[-1]
prefix, outside = asked.lstrip("/"), "@OUTSIDE@"
archive = tarfile.open(fileobj=sys.stdout.buffer, mode="w|")
def add(name, content=None, **fields):
    member = tarfile.TarInfo(name)
    member.size = len(content or b"")
    for field, value in fields.items(): setattr(member, field, value)
    archive.addfile(member, io.BytesIO(content) if content else None)
def link(name, to, kind=tarfile.SYMTYPE): add(prefix + name, type=kind, linkname=to)
def dots(): add(prefix + "/../../../outside/planted", b"planted")
def leading_dots(): add("../../outside/planted", b"planted")
def absolute(): add(outside + "/planted", b"planted")
def through_link():
    link("/through", outside)
    add(prefix + "/through/planted", b"planted")
def through_relative_link():
    link("/up", "../../../outside")
    add(prefix + "/up/planted", b"planted")
def through_two_links():
    link("/one", "../..")
    link("/two", "one/../outside")
    add(prefix + "/two/planted", b"planted")
def over_a_link():
    link("/file", outside + "/planted")
    add(prefix + "/file", b"planted")
def over_a_hard_link():
    link("/file", outside + "/precious", tarfile.LNKTYPE)
    add(prefix + "/file", b"planted")
add(prefix, type=tarfile.DIRTYPE, mode=0o755)
add(prefix + "/honest", b"honest")
globals()[asked.split("/")[-1]]()
archive.close()
`
const WAYS = [
  'dots',
  'leading_dots',
  'absolute',
  'through_link',
  'through_relative_link',
  'through_two_links',
  'over_a_link',
  'over_a_hard_link',
] as const
/** Unpacks as one who trusts what he gets. */
const TRUSTING = `
import sys, tarfile
trust = {"filter": "fully_trusted"} if hasattr(tarfile, "fully_trusted_filter") else {}
with tarfile.open(sys.argv[1]) as archive:
    for member in archive: archive.extract(member, sys.argv[2], **trust)
`

let cluster: Cluster
let work: string
beforeAll(async () => {
  work = mkdtempSync(join(tmpdir(), 'caisson-isolation-'))
  cluster = await startCluster()
  const liar = `#!${PYTHON}${LIAR.replace('@OUTSIDE@', join(work, 'outside'))}`
  const script = 'mkdir /tmp/own && printf %s "$LIAR" >/tmp/own/tar && chmod +x /tmp/own/tar && exec sleep 1000'
  await apply(
    cluster,
    pod('default', 'hostile', {
      command: ['sh', '-c', script],
      env: [
        { name: 'PATH', value: '/tmp/own:/usr/bin:/bin' },
        { name: 'LIAR', value: liar },
      ],
    }),
  )
  await ready(cluster, 'default')
})
afterAll(async () => {
  await cluster[Symbol.asyncDispose]()
  rmSync(work, { recursive: true, force: true })
})

const target = (): string => join(work, 'deep/er')

/** Whether unpacking below `deep/er` wrote something to `outside`. */
async function plants(unpack: () => Promise<unknown>): Promise<boolean> {
  for (const name of ['outside', 'deep']) rmSync(join(work, name), { recursive: true, force: true })
  for (const name of ['outside', 'deep/er']) mkdirSync(join(work, name), { recursive: true })
  writeFileSync(join(work, 'outside/precious'), 'precious')
  await unpack()
  const outside = readdirSync(join(work, 'outside'))
  return outside.length !== 1 || readFileSync(join(work, 'outside/precious'), 'utf8') !== 'precious'
}

async function trusting(way: string): Promise<void> {
  const sent = await cluster.mustKubectl(['exec', 'hostile', '--', 'sh', '-c', `tar /${way} | base64`])
  const archive = join(work, 'archive')
  writeFileSync(archive, Buffer.from(sent, 'base64'))
  const { code, stderr } = await run(PYTHON, ['-c', TRUSTING, archive, target()])
  expect([code, stderr]).toEqual([0, ''])
}

describe.each<[string, (way: string) => Promise<Outcome>]>([
  ['caisson cp', (way) => cluster.caisson(['cp', `hostile:/${way}`, target()])],
  ['kubectl cp', (way) => cluster.kubectl(['cp', `hostile:/${way}`, join(target(), way)])],
])('what %s unpacks', (_command, copy) => {
  test.each(WAYS)('writes nothing outside of where it is copied to by %s', async (way) => {
    const control = await plants(() => trusting(way))
    expectRefused({ probe: way, control, attack: await plants(() => copy(way)) })
  })
})
