/**
 * The table of metrics: name, type, help, labels with their closed lists of values, buckets.
 *
 * Rules: one prefix, base units, counters end in `_total`, no label value from outside of a closed list, every series
 * present from the start. `registry.ts` gives them their values, `docs/metrics.md` is generated from here.
 */
import { ERRORS, ERROR_CODES } from '../errors.ts'
import { EVENT_STREAM_ERROR_CODES } from '../eventstream/errors.ts'
import { ADMISSION_REASONS, LOAD_REASONS } from '../session/admission-gate.ts'
import { BREAKER_STATES, QUEUE_REFUSALS, REDIS_OPERATIONS, SPILL_REASONS } from '../session/region-labels.ts'
import { ROLLOVER_REASONS } from '../session/rollover-policy.ts'
import { EXCEPTION_LABELS } from '../transcribe/exceptions.ts'

export const METRIC_PREFIX = 'transcribe_relay_'

/** Takes the place of a value that is not in its list. */
export const OTHER = 'other'

/** Lists that belong to the two sides, and are handed in by the wiring. */
export interface LabelLists {
  /** Why a connection to the upstream failed. */
  readonly connectReasons: readonly string[]
  /** Why the native socket dropped a client. */
  readonly violationReasons: readonly string[]
  /** Regions of the relay; `us-east-1`, as an example, where there is no relay. */
  readonly regions?: readonly string[]
}

export type Labels = Readonly<Record<string, string>>

/**
 * How the values of several workers become one. `first`: of the first that has it. A series with the label `agg` = `max`
 * takes the largest, whatever is said here.
 */
export type Aggregate = 'sum' | 'max' | 'min' | 'first'

export interface MetricDefinition {
  /** Without the prefix. */
  readonly name: string
  readonly type: 'counter' | 'gauge' | 'histogram'
  readonly help: string
  /** Every combination of label values there can be; absent: one series without labels. */
  readonly series?: (lists: LabelLists) => readonly Labels[]
  /** Upper bounds, histograms only. */
  readonly buckets?: readonly number[]
  /** Default: `sum`. */
  readonly aggregate?: Aggregate
}

const LOG_LEVELS = ['fatal', 'error', 'warn', 'info', 'debug', 'trace'] as const

export const METRICS = Object.freeze({
  // Sessions
  sessionsActive: gauge('sessions_active', 'Sessions open now.'),
  sessionsLimit: gauge('sessions_limit', 'Most sessions at the same time (maxSessions).'),
  sessionsStarted: counter('sessions_started_total', 'Sessions started.'),
  sessionsClosed: {
    ...counter(
      'sessions_closed_total',
      'Sessions ended, by the code of the error catalogue and whose doing it was.',
    ),
    series: () => ERROR_CODES.map(code => ({ class: ERRORS[code].class, reason: code })),
  },
  sessionDuration: histogram(
    'session_duration_seconds',
    'How long sessions lasted.',
    [1, 10, 30, 60, 300, 900, 1800, 3600, 7200, 14_400],
  ),

  // Overload
  admissionRefusals: {
    ...counter(
      'admission_refusals_total',
      'New sessions refused as `overloaded`, by what there was too much of.',
    ),
    series: () => ADMISSION_REASONS.map(reason => ({ reason })),
  },
  admissionClosed: {
    ...gauge('admission_closed', '1: new sessions are refused for this load, until it has gone down.'),
    series: () => LOAD_REASONS.map(reason => ({ reason })),
    aggregate: 'max',
  },
  admissionLoad: {
    ...gauge(
      'admission_load_ratio',
      'Load, as a part of what new sessions are refused at. NaN: not known here.',
    ),
    series: () => LOAD_REASONS.map(reason => ({ reason })),
    aggregate: 'max',
  },

  // Handshakes with clients
  handshakes: {
    ...counter('handshakes_total', 'Requests to open a stream, by what became of them.'),
    series: () => [
      { outcome: 'accepted', reason: 'normal' },
      ...REJECT_REASONS.map(reason => ({ outcome: 'rejected', reason })),
    ],
  },
  handshakeDuration: histogram(
    'handshake_duration_seconds',
    'From the parsed request of a client to the answer.',
    [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.05, 0.25, 1, 5],
  ),
  connectionsRefused: counter(
    'client_connections_refused_total',
    'TCP connections closed at once, because there are as many as the limit of open files carries.',
  ),
  protocolViolations: {
    ...counter('protocol_violations_total', 'Clients dropped for a violation of the WebSocket protocol.'),
    series: lists => reasons(lists.violationReasons),
  },
  forcedCloses: counter(
    'client_forced_closes_total',
    'Clients cut off, because they did not read what was left for them within the close time-out.',
  ),

  // From clients
  clientAudioMessages: counter('client_audio_messages_total', 'Messages with audio from clients.'),
  clientAudioBytes: counter('client_audio_bytes_total', 'Audio received from clients.'),
  clientAudioSeconds: counter(
    'client_audio_seconds_total',
    'Audio received from clients, by the declared rate.',
  ),
  audioDroppedBytes: counter('audio_dropped_bytes_total', 'Audio received, but never forwarded.'),

  // To the upstream
  upstreamFrames: counter('upstream_frames_total', 'AudioEvents sent to Amazon Transcribe.'),
  upstreamAudioBytes: counter('upstream_audio_bytes_total', 'Audio sent to Amazon Transcribe.'),
  silenceFilledSeconds: counter(
    'silence_filled_seconds_total',
    'Silence that the relay added where a client sent nothing. It is billed.',
  ),

  // From one stream to the next
  upstreamDialsWaiting: gauge(
    'upstream_dials_waiting',
    'Streams that wait for their turn to be opened (upstreamConcurrentDials).',
  ),
  upstreamStreamsActive: gauge('upstream_streams_active', 'Streams open at Amazon Transcribe now.'),
  rollovers: {
    ...counter('rollovers_total', 'Sessions that went on in another stream, by why the one before ended.'),
    series: () => ROLLOVER_REASONS.map(reason => ({ reason })),
  },
  replayedSeconds: counter(
    'replayed_seconds_total',
    'Audio sent again to another stream, because no final result covered it. It is billed twice.',
  ),
  rolloverLostSeconds: counter(
    'rollover_lost_seconds_total',
    'Audio that was to be sent again, but was not kept any more. Anything above zero is lost speech.',
  ),
  parkedSeconds: counter(
    'parked_seconds_total',
    'Time that sessions lived without a stream, because nobody spoke: what parking saves.',
  ),

  // Clients that come back
  sessionsAway: gauge('sessions_away', 'Sessions whose client lost its connection and may come back.'),
  connectionsLost: counter(
    'client_connections_lost_total',
    'Connections lost by clients that can resume their session.',
  ),
  connectionsResumed: counter('client_resumes_total', 'Clients that went on with their session.'),

  // Results
  results: {
    ...counter('results_total', 'Results received from Amazon Transcribe.'),
    series: () => [{ kind: 'partial' }, { kind: 'final' }],
  },
  partialsDropped: counter(
    'partials_dropped_total',
    'Partial results left out, because the client reads slowly.',
  ),
  partialsWithheld: counter(
    'partials_withheld_total',
    'Partial results left out, because redaction is on or the client does not want them.',
  ),
  resultsRepeated: counter(
    'results_repeated_total',
    'Results left out, because an earlier stream had them made final.',
  ),
  clientSentBytes: counter('client_sent_bytes_total', 'Text sent to clients.'),
  warnings: counter('warnings_total', 'Warnings sent to clients.'),
  partialLag: histogram(
    'partial_lag_seconds',
    'From the arrival of audio to the first result that covers it.',
    [0.1, 0.2, 0.3, 0.5, 0.75, 1, 1.5, 2, 3, 5],
  ),
  finalLag: histogram(
    'final_lag_seconds',
    'From the arrival of audio to the final result that covers it.',
    [0.25, 0.5, 1, 1.5, 2, 3, 5, 10, 20, 30],
  ),

  // The way to the upstream
  upstreamConnects: {
    ...counter(
      'upstream_connects_total',
      'Connection attempts to Amazon Transcribe, by what became of them.',
    ),
    series: lists => [
      { outcome: 'ok', reason: 'none' },
      ...reasons(lists.connectReasons).map(labels => ({ outcome: 'error', ...labels })),
    ],
  },
  upstreamConnectDuration: histogram(
    'upstream_connect_duration_seconds',
    'From the start of a successful attempt to the answer of Amazon Transcribe.',
    [0.025, 0.05, 0.1, 0.2, 0.3, 0.5, 1, 2, 5, 15],
  ),
  upstreamExceptions: {
    ...counter('upstream_exceptions_total', 'Exceptions that Amazon Transcribe sent in a stream.'),
    series: () => EXCEPTION_LABELS.map(exception => ({ exception })),
  },
  upstreamUnknownEvents: counter(
    'upstream_unknown_events_total',
    'Events of Amazon Transcribe of a type that the relay does not know, ignored.',
  ),
  decodeErrors: {
    ...counter('eventstream_decode_errors_total', 'Messages of Amazon Transcribe that could not be decoded.'),
    series: () => reasons(EVENT_STREAM_ERROR_CODES),
  },
  credentialRefreshes: {
    ...counter('credential_refreshes_total', 'Fetches of AWS credentials.'),
    series: () => [{ outcome: 'ok' }, { outcome: 'error' }],
  },
  credentialsExpiry: {
    ...gauge(
      'credentials_expiry_timestamp_seconds',
      'When the AWS credentials end, Unix time. +Inf: never. NaN: there are none yet.',
    ),
    aggregate: 'min',
  },

  certificateExpiry: {
    ...gauge(
      'tls_certificate_expiry_timestamp_seconds',
      'When the certificate of the client port ends, Unix time. NaN: there is none.',
    ),
    aggregate: 'min',
  },

  // Regions
  regionStreams: {
    ...gauge(
      'region_streams',
      'Streams counted against the quota of a region: of all relays with Redis, else of this one.',
    ),
    series: lists => regions(lists),
  },
  regionStreamLimit: {
    ...gauge(
      'region_streams_limit',
      'Streams that there may be: the quota with Redis, else the part of this relay. 0: not counted.',
    ),
    series: lists => regions(lists),
  },
  regionStreamsOpened: {
    ...counter('region_streams_opened_total', 'Streams opened in a region.'),
    series: lists => regions(lists),
  },
  regionSpills: {
    ...counter(
      'region_spills_total',
      'Streams that went elsewhere or waited, because the region was full (quota, throttled), did not answer (breaker, failed) or is draining.',
    ),
    series: lists => regions(lists).flatMap(labels => SPILL_REASONS.map(reason => ({ ...labels, reason }))),
  },
  regionBreaker: {
    ...gauge('region_breaker_state', '1 for the state that the circuit breaker of a region is in.'),
    series: lists => regions(lists).flatMap(labels => BREAKER_STATES.map(state => ({ ...labels, state }))),
    aggregate: 'max',
  },
  regionDraining: {
    ...gauge('region_draining', '1: an operator lets streams of the region go elsewhere.'),
    series: lists => regions(lists),
    aggregate: 'max',
  },
  startQueueLength: gauge('start_queue_length', 'Sessions that wait for a stream.'),
  startQueueWait: histogram(
    'start_queue_wait_seconds',
    'How long sessions waited that got a stream.',
    [0.05, 0.1, 0.25, 0.5, 1, 2, 5, 10, 30],
  ),
  startQueueRefused: {
    ...counter(
      'start_queue_refused_total',
      'Sessions that got no stream, because they waited too long or too many did.',
    ),
    series: () => QUEUE_REFUSALS.map(reason => ({ reason })),
  },
  redisConnected: {
    ...gauge('redis_connected', '1: Redis can be asked, 0: it cannot. NaN: none is configured.'),
    aggregate: 'min',
  },
  redisFailures: {
    ...counter('redis_failures_total', 'What Redis did not do: not connected, too slow, refused.'),
    series: () => REDIS_OPERATIONS.map(operation => ({ operation })),
  },

  // Buffers
  clientBuffered: {
    ...gauge('client_buffered_bytes', 'Results that clients have not read yet: of all, and of the slowest.'),
    series: () => [{ agg: 'sum' }, { agg: 'max' }],
  },
  upstreamBuffered: {
    ...gauge(
      'upstream_buffered_bytes',
      'Audio that waits for Amazon Transcribe: of all sessions, and of the slowest.',
    ),
    series: () => [{ agg: 'sum' }, { agg: 'max' }],
  },

  // The process
  buildInfo: {
    ...gauge(
      'build_info',
      'Always 1; the labels name the versions of the relay, Node.js and the native socket.',
    ),
    aggregate: 'first',
  },
  ready: { ...gauge('ready', '1: new sessions are accepted (as /readyz says).'), aggregate: 'first' },
  draining: { ...gauge('draining', '1: the relay is going away.'), aggregate: 'max' },
  logLines: {
    ...counter('log_lines_total', 'Log lines by level.'),
    series: () => LOG_LEVELS.map(level => ({ level })),
  },
  logLinesLost: counter('log_lines_lost_total', 'Log lines that the output did not take.'),
  traceSpans: {
    ...counter(
      'trace_spans_total',
      'Spans of traces: taken by the receiver, not taken, or left out because too many waited. All zero without `tracing`.',
    ),
    series: () => [{ outcome: 'exported' }, { outcome: 'failed' }, { outcome: 'dropped' }],
  },
  auditLines: counter('audit_lines_total', 'Lines of the audit.'),
  auditLinesLost: counter('audit_lines_lost_total', 'Lines of the audit that its file did not take.'),
} satisfies Record<string, MetricDefinition>)

/** What a client can be told before its stream is open; `client_closed`: it left before the answer. */
const REJECT_REASONS: readonly string[] = [
  ...ERROR_CODES.filter(code => ERRORS[code].httpStatus !== null),
  'client_closed',
  OTHER,
]

function reasons(values: readonly string[]): readonly { readonly reason: string }[] {
  return [...new Set([...values, OTHER])].map(reason => ({ reason }))
}

function regions(lists: LabelLists): readonly { readonly region: string }[] {
  return (lists.regions ?? ['us-east-1']).map(region => ({ region }))
}

function counter(name: string, help: string) {
  return { name, type: 'counter', help } as const
}

function gauge(name: string, help: string) {
  return { name, type: 'gauge', help } as const
}

function histogram(name: string, help: string, buckets: readonly number[]) {
  return { name, type: 'histogram', help, buckets } as const
}
