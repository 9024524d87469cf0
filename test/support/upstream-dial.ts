/**
 * A dialer with a clock that stands still, credentials that count, and records of what it logs and measures.
 */
import { once } from 'node:events'
import http from 'node:http'
import type net from 'node:net'
import type { Test } from 'tap'
import type { RelayError } from '../../src/errors.ts'
import type { UpstreamEnd, UpstreamListener, UpstreamOpening, UpstreamPort } from '../../src/session/ports.ts'
import type { AwsCredentials } from '../../src/upstream/aws-credentials.ts'
import { createCredentialSource } from '../../src/upstream/credentials.ts'
import { createDialer } from '../../src/upstream/dial.ts'
import type { DialerOptions, DialMetrics, FailedAttempt } from '../../src/upstream/dial.ts'
import { defer } from './deferred.ts'
import { ManualClock } from './manual-clock.ts'

/** In every credential of the harness; must not be printed anywhere. */
export const SECRET_KEY = 'wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY'
const TOKEN = 'IQoJb3JpZ2luX2VjE/+EXAMPLE/TOKEN=='

const REQUEST = {
  sessionId: 'session-1',
  parameters: { 'language-code': 'en-US', 'session-id': '1111-2222', 'media-encoding': 'pcm' },
}

/** What a dial came to. */
export class Recorder implements UpstreamListener {
  readonly events: string[] = []
  readonly #settled = defer<this>()
  readonly #closed = defer<UpstreamEnd>()
  port: UpstreamPort | null = null
  opening: UpstreamOpening | null = null
  error: RelayError | null = null

  /** When it is open, or has failed. */
  get settled(): Promise<this> {
    return this.#settled.promise
  }

  get closed(): Promise<UpstreamEnd> {
    return this.#closed.promise
  }

  upstreamOnOpen(upstream: UpstreamPort, opening: UpstreamOpening): void {
    this.events.push('open')
    this.port = upstream
    this.opening = opening
    this.#settled.resolve(this)
  }

  upstreamOnMessage(): void {
    this.events.push('message')
  }

  upstreamOnClose(end: UpstreamEnd): void {
    this.events.push('close')
    this.#closed.resolve(end)
  }

  upstreamOnFailure(error: RelayError): void {
    this.events.push('failure')
    this.error = error
    this.#settled.resolve(this)
  }
}

export function setUpDial(t: Test, options: Partial<DialerOptions> & Pick<DialerOptions, 'endpoint'>) {
  const clock = new ManualClock()
  const failures: FailedAttempt[] = []
  const corrections: number[] = []
  const counts: string[] = []
  const refreshes: number[] = []
  const metrics: DialMetrics = {
    upstreamDialsWaiting: 0,
    countConnect: (outcome, reason) => counts.push(`${outcome} ${reason}`),
  }
  const credentials = createCredentialSource({
    clock,
    provider: async (): Promise<AwsCredentials> => {
      refreshes.push(clock.monotonicMs())
      return {
        accessKeyId: `ASIA${refreshes.length}`,
        secretAccessKey: SECRET_KEY,
        sessionToken: TOKEN,
        expiration: new Date(clock.now() + 3_600_000),
      }
    },
  })
  const hooks: { onFailedAttempt?: (record: FailedAttempt) => void } = {}
  const dialer = createDialer({
    clock,
    credentials,
    random: () => 0.5,
    log: {
      dialOnAttemptFailed(record) {
        failures.push(record)
        hooks.onFailedAttempt?.(record)
      },
      dialOnClockCorrected: ({ offsetMs }) => corrections.push(offsetMs),
    },
    metrics,
    ...options,
  })
  function dial(recorder = new Recorder()) {
    const handle = dialer.dial(REQUEST, recorder)
    t.teardown(() => {
      handle.cancel()
      recorder.port?.terminate()
    })
    t.same(recorder.events, [], 'not before it returns')
    return { recorder, cancel: () => handle.cancel() }
  }
  /** Moves the clock by as much as the back-off of each failed attempt takes. */
  function skipBackoffs(): void {
    hooks.onFailedAttempt = () => setImmediate(() => clock.advance(400))
  }
  return { clock, dial, metrics, failures, corrections, counts, refreshes, skipBackoffs, whenAttemptFails }

  function whenAttemptFails(action: (record: FailedAttempt) => void): void {
    hooks.onFailedAttempt = action
  }
}

/** Lets the loop turn until what was sent on loopback has arrived. */
export async function turns(): Promise<void> {
  for (let i = 0; i < 5; i += 1) await new Promise(resolve => setImmediate(resolve))
}

/** A port that nobody listens on. */
export async function closedPort(): Promise<number> {
  const server = http.createServer()
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as net.AddressInfo
  server.close()
  await once(server, 'close')
  return port
}
