/** Commands about the images of this machine. */
import type { Command } from 'commander'
import { type Globals, OUTPUT } from './options.ts'

export function addImageCommands(caisson: Command, globals: Globals): void {
  const image = caisson.command('image').description('images in the local store')
  image
    .command('pull')
    .description('get images from their registries, with the credentials of docker login')
    .argument('<names...>')
    .addOption(OUTPUT)
    .action(async (names: string[], options: object) =>
      (await import('../commands/image.ts')).imagePull({ ...globals(), ...options, names }),
    )
  image
    .command('import')
    .description('read a docker-archive or oci-archive')
    .argument('<file>', 'or - for standard input')
    .option('--name <reference>', 'to call it, where the archive names none or another')
    .addOption(OUTPUT)
    .action(async (file: string, options: object) =>
      (await import('../commands/image.ts')).imageImport({ ...globals(), ...options, file }),
    )
  image
    .command('export')
    .alias('save')
    .description('write images as one oci-archive, which docker load reads too')
    .argument('<names...>')
    .option('-f, --file <file>', 'to write, which must not be there yet (default: standard output)', '-')
    .option('-o, --output <file>', 'the same, as docker save calls it')
    .action(async (names: string[], { file, output }: { file: string; output?: string }) =>
      (await import('../commands/image.ts')).imageExport({ ...globals(), names, file: output ?? file }),
    )
  image
    .command('push')
    .description('give an image to its registry, with the credentials of docker login; prints its digest there')
    .argument('<name>', 'in the local store')
    .argument('[to]', 'the name that it is to have there (default: the same)')
    .action(async (name: string, to: string | undefined) =>
      (await import('../commands/image.ts')).imagePush({ ...globals(), name, ...(to !== undefined && { to }) }),
    )
  image
    .command('inspect')
    .description('print all that is known of images')
    .argument('<names...>')
    .addOption(OUTPUT)
    .action(async (names: string[], options: object) =>
      (await import('../commands/image.ts')).imageInspect({ ...globals(), ...options, names }),
    )
  image
    .command('ls')
    .description('list images')
    .addOption(OUTPUT)
    .action(async (options: object) => (await import('../commands/image.ts')).imageList({ ...globals(), ...options }))
  image
    .command('rm')
    .description('remove images')
    .argument('<names...>')
    .action(async (names: string[]) => (await import('../commands/image.ts')).imageRemove({ ...globals(), names }))
}
