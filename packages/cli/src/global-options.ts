/** What every command may be given, in front of its name or behind it. */
export interface GlobalOptions {
  dataDir?: string
  namespace?: string
  /** Of the kubeconfig: another cluster than the one that commands are about otherwise. */
  context?: string
}

export type OutputFormat = 'json' | 'yaml' | 'name' | 'wide'
