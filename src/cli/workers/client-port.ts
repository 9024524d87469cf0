/**
 * The client port before it is shared. A worker can only ask for a port together with others, and would then not hear that
 * somebody else has it too; so the primary takes it for itself once, and lets it go.
 */
import type { AddressInfo } from 'node:net'
import { createServer } from 'node:net'
import { CommandError } from '../command.ts'
import { describeListenFailure } from '../service-loop.ts'

/**
 * The port for the workers: a free one for 0, because a port that the system chooses cannot be shared by the one it was
 * chosen for. Throws `CommandError` in one line for a port that cannot be had.
 */
export async function findClientPort(host: string, port: number): Promise<number> {
  const server = createServer()
  try {
    return await new Promise((resolve, reject) => {
      server.once('error', reject)
      server.listen({ host, port, exclusive: true }, () => resolve((server.address() as AddressInfo).port))
    })
  } catch (error) {
    const reason = describeListenFailure(error, `${host} port ${port} (port)`)
    throw reason === null ? error : new CommandError(reason, { cause: error })
  } finally {
    await new Promise<void>(resolve => server.close(() => resolve()))
  }
}
