/** A relay in a process of its own, which a test can kill; `relay-child.ts` is what runs there. */
import { fork } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import type { RelayOptions } from '../../src/config/options.ts'
import type { RelayAddresses } from '../../src/relay.ts'
import type { Closing } from './world.ts'

export interface ForkedRelay extends RelayAddresses {
  /** Without any warning. */
  kill(): Promise<void>
}

const CHILD = fileURLToPath(new URL('relay-child.ts', import.meta.url))

export async function forkRelay(t: Closing, options: Partial<RelayOptions>): Promise<ForkedRelay> {
  const child = fork(CHILD, [JSON.stringify(options)], { execArgv: ['--import', 'tsx'] })
  const exited = once(child, 'exit')
  t.teardown(async () => {
    if (child.connected) child.disconnect()
    await exited
  })
  const [addresses] = (await once(child, 'message')) as [RelayAddresses]
  return {
    ...addresses,
    async kill() {
      child.kill('SIGKILL')
      await exited
    },
  }
}
