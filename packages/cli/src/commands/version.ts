import { stringify } from 'yaml'
import type { OutputFormat } from '../global-options.ts'
import { VERSION } from '../version.ts'

export function version(options: { output?: OutputFormat }): void {
  const about = { caisson: VERSION, node: process.versions.node, kubernetes: 'v1.34' }
  if (options.output === 'json') console.log(JSON.stringify(about))
  else if (options.output === 'yaml') process.stdout.write(stringify(about))
  else console.log(`caisson ${about.caisson} (Kubernetes API ${about.kubernetes}, Node ${about.node})`)
}
