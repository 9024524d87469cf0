/** HAProxy in front of relays, configured as docs/operations.md says. */
import { spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync, writeFileSync } from 'node:fs'
import net from 'node:net'
import { join } from 'node:path'
import type { RelayProcess } from './relay-process.ts'
import type { Closing } from './world.ts'

export const hasHaproxy = spawnSync('haproxy', ['-v'], { stdio: 'ignore' }).status === 0

const CONNECT_INTERVAL_MS = 50
const START_LIMIT_MS = 10_000

/** Below those that the kernel gives to outgoing connections, so that nobody takes it while its server is restarted. */
const FIRST_PORT = 20_000
const PORTS = 12_000

/** A port that was free a moment ago. */
export async function freePort(): Promise<number> {
  for (;;) {
    const port = FIRST_PORT + Math.floor(Math.random() * PORTS)
    const server = net.createServer()
    const isFree = await new Promise<boolean>(resolve => {
      server.once('error', () => resolve(false))
      server.listen(port, '127.0.0.1', () => resolve(true))
    })
    if (!isFree) continue
    server.close()
    await once(server, 'close')
    return port
  }
}

/** The example of the documentation, with the ports of this test. Resolves with the port for clients. */
export async function startHaproxy(
  t: Closing,
  folder: string,
  relays: readonly Pick<RelayProcess, 'port' | 'opsUrl'>[],
): Promise<number> {
  const port = await freePort()
  const example = /```haproxy\n([\s\S]*?)```/.exec(readFileSync('docs/operations.md', 'utf8'))?.[1]
  if (example === undefined) throw new Error('docs/operations.md has no example for HAProxy')
  const servers = relays.map(
    (relay, index) =>
      `  server relay${index} 127.0.0.1:${relay.port} check port ${new URL(relay.opsUrl).port}\n`,
  )
  const config = example
    .replace(/bind .*/, `bind 127.0.0.1:${port}`)
    .replace(/(  server .*\n)+/, servers.join(''))
  const file = join(folder, 'haproxy.cfg')
  writeFileSync(file, config)
  await runHaproxy(t, file, port)
  return port
}

/** Runs HAProxy with a configuration, until it accepts connections at `port`. */
export async function runHaproxy(t: Closing, configFile: string, port: number): Promise<void> {
  const child = spawn('haproxy', ['-db', '-f', configFile], { stdio: ['ignore', 'ignore', 'pipe'] })
  let said = ''
  child.stderr.setEncoding('utf8').on('data', (text: string) => (said += text))
  const closed = once(child, 'close')
  t.teardown(async () => {
    child.kill('SIGKILL')
    await closed
  })
  const startedMs = performance.now()
  while (!(await accepts(port))) {
    if (child.exitCode !== null || performance.now() - startedMs > START_LIMIT_MS) {
      throw new Error(
        `haproxy does not listen (exit code ${child.exitCode}, signal ${child.signalCode}): ${said}`,
      )
    }
    await new Promise(resolve => setTimeout(resolve, CONNECT_INTERVAL_MS))
  }
}

function accepts(port: number): Promise<boolean> {
  return new Promise(resolve => {
    const socket = net.connect(port, '127.0.0.1', () => {
      socket.destroy()
      resolve(true)
    })
    socket.on('error', () => resolve(false))
  })
}
