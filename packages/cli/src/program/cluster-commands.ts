/** Commands about the embedded cluster, and about what runs in any. */
import { type Command, Option } from 'commander'
import type { RouterCommandOptions } from '../commands/router.ts'
import { type Globals, OUTPUT, repeated } from './options.ts'

export function addClusterCommands(caisson: Command, globals: Globals): void {
  caisson
    .command('up')
    .description('start the embedded cluster')
    .option('-d, --detach', 'in the background; returns when it is ready')
    .option('--listen <address>', 'host:port of the API server; loopback only')
    .option('--fake-runtime', 'also offer RuntimeClass `fake`, whose Pods are Ready without a container')
    .option('--no-flat-group', 'serve templates, claims and pools in their own group alone, not in that of Sandbox')
    .addOption(new Option('--stop-when-idle <duration>', 'end when nothing has happened for so long').hideHelp())
    .action(async (options: object) => (await import('../commands/up.ts')).up({ ...globals(), ...options }))
  caisson
    .command('down')
    .description('stop the embedded cluster and every sandbox; objects and volumes stay')
    .option('--timeout <duration>', 'how long its process may take before it is killed', '60s')
    .action(async (options: { timeout: string }) =>
      (await import('../commands/down.ts')).down({ ...globals(), ...options }),
    )
  caisson
    .command('status')
    .description('whether the embedded cluster runs, and where')
    .addOption(OUTPUT)
    .action(async (options: object) => (await import('../commands/status.ts')).status({ ...globals(), ...options }))
  caisson
    .command('kubeconfig')
    .description('print the path of the kubeconfig of the embedded cluster')
    .action(async () => (await import('../commands/kubeconfig.ts')).kubeconfig(globals()))
  caisson
    .command('router')
    .description(
      'carry requests to sandboxes by name, as agent-sandbox’s router does, and serve their files and commands',
    )
    .option('--listen <address>', 'host:port, or unix:PATH', '127.0.0.1:8080')
    .option('--listen-admin <address>', 'of /metrics, /healthz and /readyz')
    .addOption(
      new Option('--authz-mode <mode>', 'who may: everybody who reaches it, users of the cluster, or holders of tokens')
        .choices(['allow-all', 'tokenreview', 'scoped-token'])
        .default('allow-all'),
    )
    .addOption(repeated('--audience <name>', 'that tokens of users are for'))
    .option('--scoped-token-keys <file>', 'the public keys of scoped tokens')
    .option('--scoped-token-secret <file>', 'the shared secret of scoped tokens of version 1')
    .option('--scoped-token-v1-until <time>', 'when that secret is not taken any more')
    .option('--listen-tls <address>', 'also within TLS')
    .option('--tls-cert <file>', 'its certificate, PEM; read again when it changes')
    .option('--tls-key <file>', 'its key, PEM')
    .option('--tls-client-ca <file>', 'whose client certificates are taken, PEM')
    .addOption(
      new Option('--tls-clients <mode>', 'whether clients show a certificate')
        .choices(['off', 'optional', 'required'])
        .default('off'),
    )
    .option('--path-routing-prefix <path>', 'also route PREFIX/NAMESPACE/ID/PORT/…, for browsers')
    .option('--proxy-timeout <duration>', 'how long silence is borne', '180s')
    .option('--upstream-max-retries <number>', 'of connections to a sandbox', '3')
    .option('--no-runtime-api', 'carry requests only: never execute anything in a sandbox')
    .option('--kubeconfig <file>', 'whose account it acts with (default: that of every command)')
    .addOption(new Option('--listen-door <address>', 'for the node of the embedded cluster').hideHelp())
    .addOption(new Option('--listen-reviewed <address>', 'for Pods of the embedded cluster').hideHelp())
    .addOption(new Option('--until-stdin-ends', 'end with whoever started it').hideHelp())
    .action(async (options: RouterCommandOptions) =>
      (await import('../commands/router.ts')).router({ ...globals(), ...options }),
    )
  caisson
    .command('controller')
    .description('run the controllers against any Kubernetes cluster, with the flags of agent-sandbox’s controller')
    .usage('[flags]')
    .helpOption(false)
    // Its flags are Go's, which it reads itself.
    .allowUnknownOption()
    .passThroughOptions()
    .argument('[flags...]', 'see --help')
    .action(async (words: string[]) => (await import('../commands/controller.ts')).controller(words))
  caisson
    .command('doctor')
    .description('say what this machine can run, or with --context what another cluster has, and what is missing')
    .option('--fix', 'fetch what is missing, without touching the system')
    .addOption(OUTPUT)
    .action(async (options: object) => (await import('../commands/doctor.ts')).doctor({ ...globals(), ...options }))
  caisson
    .command('version')
    .description('print the version')
    .addOption(OUTPUT)
    .action(async (options: object) => (await import('../commands/version.ts')).version(options))
  caisson
    .command('completion')
    .description('print a completion script: source <(caisson completion bash)')
    .addArgument(caisson.createArgument('<shell>', 'which shell').choices(['bash', 'zsh', 'fish']))
    .action(async (shell: string) => (await import('../commands/completion.ts')).completion(shell, caisson))
}
