/**
 * One session without sockets: real `Session`, `SessionRegistry` and metrics, and ports that only count. What is left is what the relay
 * itself does for a frame and for a result.
 */
import type { Clock } from '../../src/clock.ts'
import { AdmissionGate } from '../../src/session/admission-gate.ts'
import type * as Resolve from '../../src/config/resolve.ts'
import type * as StreamDefaultsModule from '../../src/config/stream-defaults.ts'
import type * as StreamRequest from '../../src/protocol/stream-request.ts'
import type { SessionMetrics, UpstreamListener } from '../../src/session/ports.ts'
import type * as Registry from '../../src/session/registry.ts'
import { load } from './built.ts'

export interface SessionHop {
  /** One message of audio of the client, `ms` after the one before. */
  audio(pcm: Uint8Array, ms: number): void
  /** One message of the upstream. */
  result(message: Uint8Array): void
  /** What arrived at the other ends. */
  readonly sentFrames: number
  readonly sentFrameBytes: number
  readonly sentTexts: number
  readonly lastFrame: Uint8Array | null
  readonly lastText: string
  readonly isClosed: boolean
}

/** A session in its middle: upstream open. `queryString` as in `/v1/stream?…`. */
export async function openSessionHop(queryString: string, metrics: SessionMetrics): Promise<SessionHop> {
  const { resolveOptions } = await load<typeof Resolve>('config/resolve')
  const { streamDefaults } = await load<typeof StreamDefaultsModule>('config/stream-defaults')
  const { readStreamQuery } = await load<typeof StreamRequest>('protocol/stream-request')
  const { SessionRegistry } = await load<typeof Registry>('session/registry')
  const { options } = resolveOptions({})
  const defaults = streamDefaults(options)
  const read = readStreamQuery(queryString, defaults)
  if (!read.ok) throw new RangeError(`the query ${queryString} is refused`)

  let nowMs = 0
  let upstreamListener: UpstreamListener | null = null
  const hop = {
    sentFrames: 0,
    sentFrameBytes: 0,
    sentTexts: 0,
    lastFrame: null as Uint8Array | null,
    lastText: '',
    isClosed: false,
    audio(pcm: Uint8Array, ms: number): void {
      nowMs += ms
      client.clientOnAudio(pcm)
    },
    result(message: Uint8Array): void {
      upstreamListener?.upstreamOnMessage(message)
    },
  }
  // Stands still between messages; nothing of this hop waits for a timer.
  const clock: Clock = {
    now: () => nowMs,
    monotonicMs: () => nowMs,
    setTimer: () => ({ cancel() {} }),
    setTicker: () => ({ cancel() {} }),
  }
  const registry = new SessionRegistry(
    { maxSessions: 1, tickMs: 100, reconnectSpreadMs: 1000 },
    {
      clock,
      metrics,
      limits: options,
      defaults,
      readiness: () => null,
      gate: new AdmissionGate({ clock, maxSessions: 10, probes: [], onChange: () => {} }),
      origin: { relay: 'bench', process: 1 },
      random: () => 0.5,
      log: { sessionOnStart() {}, sessionOnEnd() {}, sessionOnFailure: failLoudly },
      dialer: {
        dial(_request, listener) {
          upstreamListener = listener
          return { cancel() {} }
        },
      },
    },
  )
  const client = registry.open(
    {
      sendText(text) {
        hop.sentTexts += 1
        hop.lastText = text
        return 'sent'
      },
      sendTexts(texts) {
        hop.sentTexts += texts.length
        hop.lastText = texts.at(-1) ?? ''
        return 'sent'
      },
      bufferedBytes: () => 0,
      close() {
        hop.isClosed = true
      },
    },
    { sessionId: '11111111-2222-4333-8444-555555555555', query: read.query, remoteAddress: '192.0.2.1' },
  )
  upstreamOf(upstreamListener).upstreamOnOpen(
    {
      send(message) {
        hop.sentFrames += 1
        hop.sentFrameBytes += message.length
        hop.lastFrame = message
      },
      bufferedBytes: () => 0,
      close() {},
      terminate() {},
    },
    {
      region: 'us-east-1',
      upstreamSessionId: null,
      requestId: null,
      connectMs: 40,
      attempts: 1,
      credentialsExpireAtMs: null,
    },
  )
  return hop
}

function upstreamOf(listener: UpstreamListener | null): UpstreamListener {
  if (listener === null) throw new Error('the session did not dial')
  return listener
}

function failLoudly(_sessionId: string, error: unknown): void {
  throw error
}
