import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempDisposable } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, onTestFinished, test } from 'vitest'
import { installTools } from './install-tools.ts'
import { findTool } from './tools.ts'

/** As dpkg does it: with fcntl, which neither Node nor flock(1) has. */
const HOLD_DPKG = String.raw`
use Fcntl;
open(my $lock, '>>', '/var/lib/dpkg/lock-frontend') or die $!;
my $all = pack('s s x4 q q i x4', F_WRLCK, 0, 0, 0, 0);
fcntl($lock, F_SETLK, $all) or die $!;
$| = 1;
print "held\n";
sleep 600;
`

test('tools are fetched while somebody else installs packages', async () => {
  await using directory = await mkdtempDisposable(join(tmpdir(), 'caisson-tools-'))
  const holder = spawn('perl', ['-e', HOLD_DPKG], { stdio: ['ignore', 'pipe', 'inherit'] })
  onTestFinished(() => void holder.kill())
  await once(holder.stdout, 'data')
  await installTools(directory.path, { tools: ['nft'] })
  expect(await findTool('nft', directory.path)).toMatchObject({ path: join(directory.path, 'bin/nft') })
}, 120_000)
