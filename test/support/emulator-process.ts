/** Starts `emulator-child.ts` and asks it what it heard. */
import { fork, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import type { StreamRecord } from '../../src/emulator/index.ts'
import type { Closing } from './world.ts'

export type HeardStream = Pick<StreamRecord, 'sessionId' | 'sha256' | 'audioBytes' | 'isEnded' | 'closeCause'>

/** What the child says: once where it is, then whatever it is asked for. */
export type EmulatorNews = { readonly url: string } | { readonly streams: readonly HeardStream[] }

export interface EmulatorProcess {
  readonly url: string
  streams(): Promise<readonly HeardStream[]>
}

const CHILD = fileURLToPath(new URL('emulator-child.ts', import.meta.url))

export async function startEmulatorProcess(t: Closing): Promise<EmulatorProcess> {
  const child = fork(CHILD, { execArgv: ['--import', 'tsx'] })
  const exited = once(child, 'exit')
  t.teardown(async () => {
    if (child.connected) child.disconnect()
    await exited
  })
  const news = await nextNews(child)
  if (!('url' in news)) throw new Error('the emulator did not say where it is')
  return {
    url: news.url,
    async streams() {
      child.send('streams')
      const answer = await nextNews(child)
      return 'streams' in answer ? answer.streams : []
    },
  }
}

async function nextNews(child: ChildProcess): Promise<EmulatorNews> {
  const [news] = (await once(child, 'message')) as [EmulatorNews]
  return news
}
