import { expect, test } from 'vitest'
import { registryEndpoints } from './registry-config.ts'

test('a file of authorities that is not there is named, and what to do', async () => {
  await expect(registryEndpoints('a:5000', { hosts: { 'a:5000': { caFile: '/nowhere.pem' } } })).rejects.toThrow(
    "the authorities of a registry cannot be read: ENOENT: no such file or directory, open '/nowhere.pem': correct the configuration of registries",
  )
})
