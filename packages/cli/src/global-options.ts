/** What every command may be given in front of its name. */
export interface GlobalOptions {
  dataDir?: string
  namespace?: string
}

export type OutputFormat = 'json' | 'yaml' | 'name' | 'wide'
