/**
 * One stream of the thin client with everything a person sees of it: audio in, view, results, failure. Shared by
 * `stream` and `demo`.
 */
import type { Clock } from '../clock.ts'
import { cutChunks } from './audio-input.ts'
import type { AudioInput } from './audio-input.ts'
import type { ProcessEvents } from './command.ts'
import { ProgressView } from './progress.ts'
import { readResults } from './server-message.ts'
import type { ServerMessage } from './server-message.ts'
import { printable } from './terminal.ts'
import type { Terminal } from './terminal.ts'
import { streamAudio } from './thin-client.ts'
import type { StreamOutcome } from './thin-client.ts'

export type OutputFormat = 'text' | 'json'

export interface StreamSession {
  readonly input: AudioInput
  /** Without a query, or with one of the relay's own. */
  readonly url: string
  /** Added to the query; `sample-rate` and the channels come from the audio. */
  readonly parameters: Readonly<Record<string, string>>
  readonly token: string | null
  readonly speed: number
  readonly chunkMs: number
  readonly connectTimeoutMs: number
  readonly endTimeoutMs: number
  readonly format: OutputFormat
  /** Partial results as lines of their own where the output is no screen. */
  readonly partialLines: boolean
  /** Come back when the connection breaks. Default: false. */
  readonly resume?: boolean
  readonly stop?: AbortSignal
}

const SAMPLE_BYTES = 2

/** Closes the audio in the end. */
export async function runStream(
  session: StreamSession,
  terminal: Terminal,
  clock: Clock,
): Promise<StreamOutcome> {
  const { input, format } = session
  const frameBytes = input.channels * SAMPLE_BYTES
  const chunkFrames = Math.max(1, Math.round((input.sampleRate * session.chunkMs) / 1000))
  const view =
    format === 'json'
      ? null
      : new ProgressView(terminal, {
          totalSeconds: input.totalSeconds,
          partialLines: session.partialLines,
          monotonicMs: () => clock.monotonicMs(),
        })
  try {
    return await streamAudio(
      {
        url: buildUrl(session),
        token: session.token,
        chunks: cutChunks(input.pcm, chunkFrames * frameBytes, frameBytes),
        bytesPerSecond: input.sampleRate * frameBytes,
        speed: session.speed,
        connectTimeoutMs: session.connectTimeoutMs,
        endTimeoutMs: session.endTimeoutMs,
        ...(session.resume === true ? { resume: { random: Math.random } } : {}),
        ...(session.stop === undefined ? {} : { stop: session.stop }),
      },
      {
        onMessage: (message, text) =>
          view === null ? terminal.print(text) : showMessage(message, view, terminal),
        onAudioSent: seconds => view?.audioSent(seconds),
        onReconnect: waitMs => {
          if (view !== null)
            notice(view, terminal, `connection lost, trying again in ${Math.round(waitMs)} ms`)
        },
        onResumeRefused: () => {
          const text = 'the relay keeps no sessions; the stream goes on, but will not outlive its connection'
          if (view === null) terminal.warn(text)
          else notice(view, terminal, text)
        },
      },
      clock,
    )
  } finally {
    view?.finish()
    await input.close()
  }
}

/** Runs `action` until its end (its result) or the second signal (`null`); the first aborts what it is handed. */
export async function runInterruptible<T>(
  events: ProcessEvents,
  action: (stop: AbortSignal) => Promise<T>,
): Promise<T | null> {
  const stop = new AbortController()
  const forced = new AbortController()
  const release = events.onStopSignal(() => (stop.signal.aborted ? forced : stop).abort())
  const whenForced = new Promise<null>(resolve => {
    forced.signal.addEventListener('abort', () => resolve(null), { once: true })
  })
  try {
    return await Promise.race([action(stop.signal), whenForced])
  } finally {
    release()
  }
}

/** The relay's URL with the parameters of the stream. What the URL says itself wins over what the audio says. */
export function buildUrl({
  url,
  parameters,
  input,
  resume,
}: Pick<StreamSession, 'url' | 'parameters' | 'input' | 'resume'>): string {
  const built = new URL(url)
  const fromAudio: Record<string, string> = {
    'media-encoding': 'pcm',
    'sample-rate': String(input.sampleRate),
  }
  if (resume === true) fromAudio['resume'] = 'true'
  if (input.channels === 2) {
    fromAudio['enable-channel-identification'] = 'true'
    fromAudio['number-of-channels'] = '2'
  }
  for (const [name, value] of Object.entries({ ...fromAudio, ...parameters })) {
    if (parameters[name] !== undefined || !built.searchParams.has(name)) built.searchParams.set(name, value)
  }
  return built.href
}

/** Lines about a failure, for standard error. */
export function describeFailure(outcome: Extract<StreamOutcome, { kind: 'failed' }>): readonly string[] {
  const { failure, httpStatus, closeCode } = outcome
  const where =
    httpStatus === null ? (closeCode === null ? '' : ` (close ${closeCode})`) : ` (HTTP ${httpStatus})`
  const again = failure.retryAfterMs === null ? '' : `, after ${failure.retryAfterMs} ms`
  const request = failure.requestId === null ? '' : `, request ${printable(failure.requestId)}`
  return [
    `error ${printable(failure.code)}${where}: ${printable(failure.message)}`,
    `retryable: ${failure.retryable ? `yes${again}` : 'no'}${request}`,
  ]
}

function showMessage(message: ServerMessage, view: ProgressView, terminal: Terminal): void {
  switch (message.type) {
    case 'Transcript':
      for (const result of readResults(message)) view.result(result)
      return
    case 'Rollover':
      view.clearPartial()
      return
    case 'Warning':
      notice(view, terminal, `warning ${String(message['code'])}: ${String(message['message'])}`)
      return
    case 'Resumed':
      notice(view, terminal, 'connected again, the stream goes on')
      return
    case 'Draining':
      notice(
        view,
        terminal,
        `the relay is going away, it asks to reconnect in ${String(message['reconnect_in_ms'])} ms`,
      )
      return
    default:
    // Begin, Ack and End hold nothing for a reader; Error is told at the end; what is unknown is for newer clients.
  }
}

function notice(view: ProgressView, terminal: Terminal, text: string): void {
  // On a screen the line must stand above the moving ones; elsewhere it does not belong among the transcripts.
  if (terminal.interactive) view.note(printable(text))
  else terminal.warn(printable(text))
}
