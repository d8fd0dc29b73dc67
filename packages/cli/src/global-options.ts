/** What every command may be given, in front of its name or behind it. */
export interface GlobalOptions {
  dataDir?: string
  namespace?: string
}

export type OutputFormat = 'json' | 'yaml' | 'name' | 'wide'
