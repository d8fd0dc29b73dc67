import { CliError } from '../cli-error.ts'

export interface ListenAddress {
  host: string
  port: number
}

const LOOPBACK = ['127.0.0.1', '::1', 'localhost']

/** Of `--listen HOST:PORT`. Throws a CliError where others could reach it. */
export function parseListen(text: string): ListenAddress {
  const match = /^(?:\[([^\]]+)\]|([^:]*)):(\d{1,5})$/.exec(text)
  const host = match?.[1] ?? match?.[2] ?? ''
  const port = Number(match?.[3])
  if (!match || port > 65_535)
    throw new CliError('usage', `--listen takes host:port, such as 127.0.0.1:6443, not ${JSON.stringify(text)}`)
  if (!LOOPBACK.includes(host))
    throw new CliError(
      'usage',
      `--listen takes a loopback address (${LOOPBACK.join(', ')}), not ${host}: the API of an embedded cluster is for this machine only`,
    )
  return { host, port }
}
