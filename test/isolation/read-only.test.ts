/** What is mounted to be read only is not changed in any way, as whoever may write to it sees. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { type Cluster, startCluster } from '../e2e/fixture.ts'
import { apply, pod, ready } from './attackers.ts'
import { expectRefused, inPod, type Place } from './controlled.ts'

/** Each way by its name, on a file of that name. */
const WAYS = `
import json, os, sys
def opened(flags): return lambda path: os.close(os.open(path, flags))
ways = {
    "open to write and truncate": opened(os.O_WRONLY | os.O_TRUNC),
    "open to read and truncate": opened(os.O_RDONLY | os.O_TRUNC),
    "open to create and truncate": opened(os.O_WRONLY | os.O_CREAT | os.O_TRUNC),
    "truncate": lambda path: os.truncate(path, 0),
    "append": lambda path: open(path, "a").write("more"),
    "unlink": os.unlink,
    "rename": lambda path: os.rename(path, path + ".new"),
    "link": lambda path: os.link(path, path + ".new"),
    "chmod": lambda path: os.chmod(path, 0o777),
    "chown": lambda path: os.chown(path, 7, 7),
    "change its time": lambda path: os.utime(path, (1, 1)),
    "make a directory": lambda path: os.mkdir(path + ".new"),
    "make a link": lambda path: os.symlink("/", path + ".new"),
    "make a file": lambda path: open(path + ".new", "x").close(),
}
directory, task = sys.argv[1:]
def look():
    return {name: [*os.lstat(os.path.join(directory, name))[:9]][:7] + [os.lstat(os.path.join(directory, name)).st_mtime_ns] for name in os.listdir(directory)}
if task == "fill":
    for name in ways:
        with open(os.path.join(directory, name), "w") as file: file.write("content")
if task == "attack":
    for name, way in ways.items():
        try: way(os.path.join(directory, name))
        except OSError: pass
print(json.dumps(look()))
`
const NAMES = [...WAYS.matchAll(/^ {4}"([^"]+)":/gm)].map(([, name]) => name!)

let cluster: Cluster
let writer: Place
let reader: Place
const changedBy: Record<'reader' | 'writer', Set<string>> = { reader: new Set(), writer: new Set() }

beforeAll(async () => {
  cluster = await startCluster()
  const container = (name: string, readOnly: boolean): object => ({
    name,
    image: 'caisson.dev/host',
    command: ['sleep', '1000'],
    securityContext: { readOnlyRootFilesystem: readOnly },
    volumeMounts: [{ name: 'shared', mountPath: '/shared', readOnly }],
  })
  await apply(
    cluster,
    pod('default', 'both', {
      spec: {
        volumes: [{ name: 'shared', emptyDir: {} }],
        containers: [container('writer', false), container('reader', true)],
      },
    }),
    pod('default', 'witness'),
  )
  await ready(cluster, 'default')
  writer = inPod(cluster, 'default', 'both', 'writer')
  reader = inPod(cluster, 'default', 'both', 'reader')
  let before = await look(writer, 'fill')
  for (const [name, place] of [
    ['reader', reader],
    ['writer', writer],
  ] as const) {
    await place(WAYS, '/shared', 'attack')
    const after = await look(writer, 'look')
    for (const way of NAMES) {
      const of = (files: Record<string, unknown>): string => JSON.stringify([files[way], way + '.new' in files])
      if (of(before) !== of(after)) changedBy[name].add(way)
    }
    before = after
  }
})
afterAll(() => cluster[Symbol.asyncDispose]())

async function look(place: Place, task: string): Promise<Record<string, unknown>> {
  return (await place(WAYS, '/shared', task)) as Record<string, unknown>
}

describe('a volume that is mounted read-only is not changed', () => {
  test.each(NAMES)('by %s', (way) => {
    expectRefused({ probe: way, control: changedBy.writer.has(way), attack: changedBy.reader.has(way) })
  })
})

test('a read-only root file system does not lend the image to whoever empties its files', async () => {
  const empty =
    'import json,os\ntry: os.close(os.open("/etc/services", os.O_WRONLY | os.O_TRUNC))\nexcept OSError: pass\n'
  const size = 'print(json.dumps(os.stat("/etc/services").st_size))'
  const witness = inPod(cluster, 'default', 'witness')
  const before = await witness(`import json,os\n${size}`)
  const own = await writer(empty + size)
  await reader(empty + size)
  expectRefused({
    probe: 'emptying a file of the image',
    control: before !== 0 && own === 0,
    attack: (await witness(`import json,os\n${size}`)) !== before,
  })
  await cluster.mustKubectl(['delete', 'pod', 'witness'])
  await apply(cluster, pod('default', 'witness'))
  await ready(cluster, 'default')
  expect(await witness(`import json,os\n${size}`)).toBe(before)
})
