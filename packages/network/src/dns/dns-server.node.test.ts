import { execFileSync } from 'node:child_process'
import { createSocket } from 'node:dgram'
import { once } from 'node:events'
import { expect, test } from 'vitest'
import { startDnsServer } from './dns-server.ts'

/** Sends one datagram from a port that no socket has. */
const FROM_NO_PORT = `
import socket, struct, sys
with socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_UDP) as raw:
    raw.sendto(struct.pack('!HHHH', 0, int(sys.argv[1]), 8 + 3, 0) + b'bad', ('127.0.0.1', 0))
`

test('a query that comes from no port is nobody’s, and ends nothing', async () => {
  const asked: string[] = []
  await using server = await startDnsServer({
    host: '127.0.0.1',
    port: 0,
    namespaceOf: () => 'default',
    resolve: async (query) => {
      asked.push(String(query))
      return query
    },
    onError: (error) => {
      throw error
    },
  })
  execFileSync('python3', ['-c', FROM_NO_PORT, String(server.udpPort)])
  const udp = createSocket('udp4')
  udp.send('good', server.udpPort, '127.0.0.1')
  const [reply] = (await once(udp, 'message')) as [Buffer]
  udp.close()
  expect([String(reply), asked]).toEqual(['good', ['good']])
})
