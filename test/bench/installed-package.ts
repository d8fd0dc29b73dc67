/** The npm package as a user has it: made by the pack script and installed into an empty prefix. */
import { execFileSync } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

const ROOT = join(import.meta.dirname, '../..')

/** The launcher of the checkout. */
export const CHECKOUT = join(ROOT, 'bin/caisson')

export interface InstalledPackage extends Disposable {
  caisson: string
}

export function installPackage(): InstalledPackage {
  const prefix = mkdtempSync(join(tmpdir(), 'caisson-prefix-'))
  const output = execFileSync(process.execPath, ['packages/cli/scripts/pack.ts'], { cwd: ROOT, encoding: 'utf8' })
  const archive = output.trim().split('\n').at(-1) ?? ''
  execFileSync(
    'npm',
    ['install', '--global', '--prefix', prefix, '--ignore-scripts', '--no-audit', '--no-fund', '--silent', archive],
    { stdio: ['ignore', 'ignore', 'inherit'] },
  )
  return {
    caisson: join(prefix, 'bin/caisson'),
    [Symbol.dispose]: () => rmSync(prefix, { recursive: true, force: true }),
  }
}
