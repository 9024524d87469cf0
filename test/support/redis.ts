/**
 * A real Redis (Debian package `redis-server`) that keeps nothing on disk. It can be stopped, frozen and started again on
 * the same port; ended with the test that opened it.
 */
import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { createServer } from 'node:net'
import type { AddressInfo } from 'node:net'
import { createInterface } from 'node:readline'
import { Redis } from 'ioredis'
import { hasProgram } from './programs.ts'
import type { Closing } from './world.ts'

export interface RedisServer {
  /** With the password. */
  readonly url: string
  readonly password: string
  /** Ends it; what it knew is lost. */
  stop(): Promise<void>
  start(): Promise<void>
  /** It takes connections and answers nothing. */
  freeze(): void
  thaw(): void
  /** A client of the test's own. */
  client(): Redis
}

const READY_LINE = /Ready to accept connections/
const PASSWORD = 'canary-of-redis'

export function hasRedis(t: Parameters<typeof hasProgram>[0]): boolean {
  return hasProgram(t, 'redis-server')
}

export async function startRedis(t: Closing): Promise<RedisServer> {
  const port = await freePort()
  let child: ChildProcess | null = null
  const url = `redis://:${PASSWORD}@127.0.0.1:${port}/0`
  const server: RedisServer = {
    url,
    password: PASSWORD,
    async start() {
      const options = ['--port', String(port), '--bind', '127.0.0.1', '--requirepass', PASSWORD]
      const started = spawn('redis-server', [...options, '--save', '', '--appendonly', 'no'], {
        cwd: '/',
        stdio: ['ignore', 'pipe', 'ignore'],
      })
      child = started
      await waitForLine(started)
    },
    async stop() {
      const running = child
      child = null
      if (running === null) return
      const closed = once(running, 'close')
      running.kill('SIGKILL')
      await closed
    },
    freeze: () => void child?.kill('SIGSTOP'),
    thaw: () => void child?.kill('SIGCONT'),
    client() {
      const client = new Redis(url, { maxRetriesPerRequest: 1 })
      t.teardown(() => client.disconnect())
      return client
    },
  }
  t.teardown(() => server.stop())
  await server.start()
  return server
}

async function waitForLine({ stdout }: ChildProcess): Promise<void> {
  if (stdout === null) throw new Error('no output to read')
  const lines = createInterface({ input: stdout })
  await new Promise<void>((resolve, reject) => {
    lines.on('line', line => {
      if (READY_LINE.test(line)) resolve()
    })
    lines.once('close', () => reject(new Error('redis-server ended')))
  })
}

/** Free a moment ago: a Redis that is started again needs a port of its own. */
async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  server.close()
  await once(server, 'close')
  return port
}
