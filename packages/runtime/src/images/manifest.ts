import { hostArchitecture } from '../native/native-programs.ts'
import { isForThisMachine, namePlatforms } from '../registry/platform.ts'
import { MOST_LAYERS } from '../registry/remote-image.ts'
import { RuntimeError } from '../runtime-error.ts'
import type { ArchiveMember, ImageArchive } from './archive.ts'

/** An image as an archive describes it, before its layers are unpacked. */
export interface ArchivedImage {
  /** As written in the archive. */
  names: string[]
  /** `sha256:` digest of the configuration. */
  id: string
  config: ImageConfig
  configFile: ArchiveMember
  /** Members with the layers, lowest first, as compressed as they were stored. */
  layers: Array<ArchiveMember & { diffId: string }>
}

export interface ImageConfig {
  architecture: string
  createdAt: number
  entrypoint: string[]
  cmd: string[]
  env: Record<string, string>
  workingDir: string
  user: string
  diffIds: string[]
}

const DIGEST = /^sha256:[0-9a-f]{64}$/
const DEEPEST_INDEX = 4

/** The images of a docker-archive (`manifest.json`) or an oci-archive (`index.json`). */
export async function readArchivedImages(archive: ImageArchive): Promise<ArchivedImage[]> {
  if (archive.member('manifest.json') !== undefined) return readDockerArchive(archive)
  if (archive.member('index.json') !== undefined) return readOciArchive(archive)
  throw new RuntimeError(
    'bad-archive',
    'expected a docker-archive (manifest.json) or an oci-archive (index.json), found neither',
  )
}

async function readDockerArchive(archive: ImageArchive): Promise<ArchivedImage[]> {
  const manifest = await archive.json('manifest.json')
  return Promise.all(
    arrayOf(manifest, 'manifest.json').map((item) => {
      const image = objectOf(item, 'manifest.json')
      return readImage(archive, {
        names: stringsOf(image.RepoTags ?? [], 'RepoTags'),
        config: stringOf(image.Config, 'Config'),
        layers: stringsOf(image.Layers, 'Layers'),
      })
    }),
  )
}

async function readOciArchive(archive: ImageArchive): Promise<ArchivedImage[]> {
  const images: ArchivedImage[] = []
  const platforms: unknown[] = []
  async function visit(index: unknown, inherited: string[], depth: number): Promise<void> {
    if (depth > DEEPEST_INDEX) throw new RuntimeError('bad-archive', 'indexes are nested too deeply')
    for (const item of arrayOf(objectOf(index, 'index').manifests, 'manifests')) {
      const descriptor = objectOf(item, 'manifests')
      const names = [...new Set([...inherited, ...annotatedNames(descriptor.annotations)])]
      platforms.push(descriptor.platform)
      if (!isForThisMachine(descriptor.platform)) continue
      const manifest = objectOf(await archive.json(blobName(descriptor.digest)), 'manifest')
      if (manifest.manifests !== undefined) {
        await visit(manifest, names, depth + 1)
      } else if (isImage(manifest)) {
        images.push(
          await readImage(archive, {
            names,
            config: blobName(objectOf(manifest.config, 'config').digest),
            layers: arrayOf(manifest.layers, 'layers').map((layer) => blobName(objectOf(layer, 'layers').digest)),
          }),
        )
      }
    }
  }
  await visit(await archive.json('index.json'), [], 0)
  if (images.length === 0) {
    const others = namePlatforms(platforms)
    const instead = others === '' ? '' : `, only for ${others}`
    throw new RuntimeError('bad-archive', `the archive has no image for linux/${hostArchitecture()}${instead}`)
  }
  return images
}

async function readImage(
  archive: ImageArchive,
  parts: { names: string[]; config: string; layers: string[] },
): Promise<ArchivedImage> {
  const configFile = archive.member(parts.config)
  if (!configFile) throw new RuntimeError('bad-archive', `the archive has no ${parts.config}`)
  const config = parseConfig(await archive.json(parts.config))
  checkConfig(config, parts.layers.length)
  const layers = parts.layers.map((name, index) => {
    const member = archive.member(name)
    if (!member) throw new RuntimeError('bad-archive', `the archive has no ${name}`)
    return { ...member, diffId: config.diffIds[index] ?? '' }
  })
  return { names: parts.names, id: configFile.digest, config, configFile, layers }
}

/** Throws a `RuntimeError` of code `bad-archive` where a configuration does not fit to its layers, or to this machine. */
export function checkConfig({ diffIds, architecture }: ImageConfig, layers: number): void {
  if (diffIds.length !== layers || layers > MOST_LAYERS)
    throw new RuntimeError('bad-archive', `the configuration lists ${diffIds.length} layers, the manifest ${layers}`)
  if (architecture !== '' && architecture !== hostArchitecture())
    throw new RuntimeError('bad-archive', `the image is for ${architecture}, this machine is ${hostArchitecture()}`)
}

/** Reads an OCI image configuration. */
export function parseConfig(value: unknown): ImageConfig {
  const root = objectOf(value, 'the image configuration')
  const config = objectOf(root.config ?? {}, 'config')
  const diffIds = stringsOf(objectOf(root.rootfs, 'rootfs').diff_ids, 'rootfs.diff_ids')
  for (const diffId of diffIds)
    if (!DIGEST.test(diffId)) throw new RuntimeError('bad-archive', `${JSON.stringify(diffId)} is no sha256 digest`)
  const created = Date.parse(typeof root.created === 'string' ? root.created : '')
  return {
    architecture: typeof root.architecture === 'string' ? root.architecture : '',
    createdAt: Number.isNaN(created) ? 0 : created,
    entrypoint: stringsOf(config.Entrypoint ?? [], 'config.Entrypoint'),
    cmd: stringsOf(config.Cmd ?? [], 'config.Cmd'),
    env: parseEnv(stringsOf(config.Env ?? [], 'config.Env')),
    workingDir: typeof config.WorkingDir === 'string' ? config.WorkingDir : '',
    user: typeof config.User === 'string' ? config.User : '',
    diffIds,
  }
}

function parseEnv(lines: string[]): Record<string, string> {
  // Without a prototype: a variable may be called __proto__.
  const env: Record<string, string> = Object.create(null)
  for (const line of lines) {
    const equals = line.indexOf('=')
    if (equals > 0) env[line.slice(0, equals)] = line.slice(equals + 1)
  }
  return env
}

function annotatedNames(annotations: unknown): string[] {
  if (annotations === undefined || annotations === null) return []
  const found = objectOf(annotations, 'annotations')
  // containerd writes the full name, others write a name or only a tag into the standard annotation.
  const full = found['io.containerd.image.name']
  const reference = found['org.opencontainers.image.ref.name']
  return [full, reference].filter((name): name is string => typeof name === 'string' && name !== '').slice(0, 1)
}

const IMAGE_CONFIGS = new Set([
  'application/vnd.oci.image.config.v1+json',
  'application/vnd.docker.container.image.v1+json',
])

/** Attestations and other artefacts lie beside images in the same index. */
function isImage(manifest: Record<string, unknown>): boolean {
  const { mediaType } = objectOf(manifest.config ?? {}, 'config')
  return typeof mediaType !== 'string' || IMAGE_CONFIGS.has(mediaType)
}

function blobName(digest: unknown): string {
  if (typeof digest !== 'string' || !DIGEST.test(digest))
    throw new RuntimeError('bad-archive', `${JSON.stringify(digest)} is no sha256 digest`)
  return `blobs/sha256/${digest.slice('sha256:'.length)}`
}

function objectOf(value: unknown, what: string): Record<string, unknown> {
  if (typeof value !== 'object' || value === null || Array.isArray(value))
    throw new RuntimeError('bad-archive', `${what} is no JSON object`)
  return value as Record<string, unknown>
}

function arrayOf(value: unknown, what: string): unknown[] {
  if (!Array.isArray(value)) throw new RuntimeError('bad-archive', `${what} is no JSON array`)
  return value
}

function stringsOf(value: unknown, what: string): string[] {
  return arrayOf(value, what).map((item) => stringOf(item, what))
}

function stringOf(value: unknown, what: string): string {
  if (typeof value !== 'string') throw new RuntimeError('bad-archive', `${what} is no text`)
  return value
}
