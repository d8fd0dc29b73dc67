// @ts-check
/** What `bin/caisson` runs from an installed package, which holds no types to read and no files of ours to find. */
import { keepCompiledCode } from './compiled-cache.mjs'

keepCompiledCode()
const { main } = await import('./main.ts')
await main()
