/**
 * What the Grafana dashboard shows: a table of rows, panels and expressions. `grafana.ts` makes the JSON of it.
 *
 * `SELECT` stands for the labels that the variables of the dashboard choose. A counter with many label values is shown
 * with `> 0`: what never happens needs no line in a legend.
 */

export interface Query {
  readonly expr: string
  /** With `{{label}}` for a label of the series. */
  readonly legend: string
}

export interface Panel {
  readonly title: string
  readonly description: string
  readonly kind: 'timeseries' | 'stat' | 'heatmap' | 'table'
  /** A unit of Grafana. */
  readonly unit: string
  /** Of 24. */
  readonly width: number
  readonly queries: readonly Query[]
  readonly stacked?: boolean
}

export interface Row {
  readonly title: string
  readonly panels: readonly Panel[]
}

const SELECT = 'namespace=~"$namespace", job=~"$job", pod=~"$pod"'
/** Metrics of a process are those of the canary too, which has the same job; this leaves it out. */
const OF_RELAYS = `and on (namespace, job, instance) transcribe_relay_build_info{${SELECT}}`
const CANARY = 'namespace=~"$namespace"'
const RATE = '[$__rate_interval]'
const FAILED = 'class=~"server_error|upstream_error"'
/** Share of sessions that may fail. */
const ERROR_BUDGET = 0.005

export const ROWS: readonly Row[] = [
  {
    title: 'Service',
    panels: [
      stat('Sessions', 'Open now.', 'short', `sum(transcribe_relay_sessions_active{${SELECT}})`),
      stat(
        'Capacity used',
        'Open sessions over the limit of all instances.',
        'percentunit',
        `sum(transcribe_relay_sessions_active{${SELECT}}) / sum(transcribe_relay_sessions_limit{${SELECT}})`,
      ),
      stat('Ready', 'Instances that accept sessions.', 'short', `sum(transcribe_relay_ready{${SELECT}})`),
      stat(
        'Draining',
        'Instances that are shutting down.',
        'short',
        `sum(transcribe_relay_draining{${SELECT}})`,
      ),
      stat(
        'Error budget left',
        'Of 30 days, at 99.5 % of the sessions. Failures are those of the relay and of Amazon Transcribe.',
        'percentunit',
        `1 - ${ratio('increase', '[30d]')} / ${ERROR_BUDGET}`,
      ),
      stat(
        'Canary',
        '1: the last run was all right.',
        'short',
        `min(transcribe_relay_canary_success{${CANARY}})`,
      ),
      lines('Sessions open', 'By instance, stacked, and the limit of all together.', 'short', 8, [
        q(`sum by (pod) (transcribe_relay_sessions_active{${SELECT}})`, '{{pod}}'),
        q(`sum(transcribe_relay_sessions_limit{${SELECT}})`, 'limit'),
      ]),
      lines('New sessions and refusals', 'A second.', 'ops', 8, [
        q(`sum(rate(transcribe_relay_sessions_started_total{${SELECT}}${RATE}))`, 'started'),
        q(
          `sum by (reason) (rate(transcribe_relay_handshakes_total{${SELECT}, outcome="rejected"}${RATE})) > 0`,
          'refused: {{reason}}',
        ),
      ]),
      lines(
        'Failed sessions',
        'Share of all that ended, and the share that the objective allows.',
        'percentunit',
        8,
        [q(ratio('rate', '[5m]'), 'failed'), q(`vector(${ERROR_BUDGET})`, 'allowed')],
      ),
      {
        title: 'Session duration',
        description: 'Ended sessions by how long they lasted.',
        kind: 'heatmap',
        unit: 's',
        width: 24,
        queries: [
          q(
            `sum by (le) (increase(transcribe_relay_session_duration_seconds_bucket{${SELECT}}${RATE}))`,
            '{{le}}',
          ),
        ],
      },
    ],
  },
  {
    title: 'Latency',
    panels: [
      quantiles(
        'Audio to first result',
        'From the arrival of audio to the first result that covers it.',
        'partial_lag_seconds',
      ),
      quantiles(
        'Audio to final result',
        'From the arrival of audio to the final result that covers it.',
        'final_lag_seconds',
      ),
      quantiles(
        'Connect to Amazon Transcribe',
        'DNS, TCP, TLS and handshake of successful attempts.',
        'upstream_connect_duration_seconds',
      ),
      quantiles(
        'Handshake with clients',
        'From the parsed request to the answer.',
        'handshake_duration_seconds',
      ),
    ],
  },
  {
    title: 'Audio and results',
    panels: [
      lines('Audio', 'Seconds of audio a second: how many people speak at once.', 'short', 8, [
        q(`sum(rate(transcribe_relay_client_audio_seconds_total{${SELECT}}${RATE}))`, 'from clients'),
        q(
          `sum(rate(transcribe_relay_silence_filled_seconds_total{${SELECT}}${RATE}))`,
          'silence added (billed)',
        ),
      ]),
      lines('Bytes', 'A second.', 'Bps', 8, [
        q(`sum(rate(transcribe_relay_client_audio_bytes_total{${SELECT}}${RATE}))`, 'audio from clients'),
        q(`sum(rate(transcribe_relay_upstream_audio_bytes_total{${SELECT}}${RATE}))`, 'audio to Amazon'),
        q(`sum(rate(transcribe_relay_client_sent_bytes_total{${SELECT}}${RATE}))`, 'results to clients'),
        q(`sum(rate(transcribe_relay_audio_dropped_bytes_total{${SELECT}}${RATE}))`, 'audio never forwarded'),
      ]),
      lines('Messages', 'A second: what the CPU is spent on.', 'ops', 8, [
        q(`sum(rate(transcribe_relay_client_audio_messages_total{${SELECT}}${RATE}))`, 'audio from clients'),
        q(`sum(rate(transcribe_relay_upstream_frames_total{${SELECT}}${RATE}))`, 'AudioEvents to Amazon'),
        q(`sum by (kind) (rate(transcribe_relay_results_total{${SELECT}}${RATE}))`, '{{kind}} results'),
      ]),
      lines('Buffered', 'Bytes that wait: of all sessions, and of the slowest.', 'bytes', 12, [
        q(`sum by (agg) (transcribe_relay_client_buffered_bytes{${SELECT}, agg="sum"})`, 'results, all'),
        q(
          `max by (agg) (transcribe_relay_client_buffered_bytes{${SELECT}, agg="max"})`,
          'results, slowest client',
        ),
        q(`sum by (agg) (transcribe_relay_upstream_buffered_bytes{${SELECT}, agg="sum"})`, 'audio, all'),
        q(
          `max by (agg) (transcribe_relay_upstream_buffered_bytes{${SELECT}, agg="max"})`,
          'audio, slowest stream',
        ),
      ]),
      lines(
        'Partial results left out',
        'A second. Dropped: the client reads slowly. Withheld: redaction, or not wanted.',
        'ops',
        12,
        [
          q(`sum(rate(transcribe_relay_partials_dropped_total{${SELECT}}${RATE}))`, 'dropped'),
          q(`sum(rate(transcribe_relay_partials_withheld_total{${SELECT}}${RATE}))`, 'withheld'),
        ],
      ),
    ],
  },
  {
    title: 'Amazon Transcribe',
    panels: [
      byLabel(
        'Connection attempts',
        'A second, by what became of them.',
        'upstream_connects_total',
        'reason',
        '{{outcome}}: {{reason}}',
        'outcome, reason',
      ),
      byLabel(
        'Exceptions',
        'A second. LimitExceededException: a quota.',
        'upstream_exceptions_total',
        'exception',
        '{{exception}}',
      ),
      lines('What could not be read', 'A second.', 'ops', 8, [
        q(`sum(rate(transcribe_relay_eventstream_decode_errors_total{${SELECT}}${RATE}))`, 'messages'),
        q(`sum(rate(transcribe_relay_upstream_unknown_events_total{${SELECT}}${RATE}))`, 'unknown events'),
      ]),
      lines('Credentials end in', 'By instance.', 's', 12, [
        q(
          `min by (pod) (transcribe_relay_credentials_expiry_timestamp_seconds{${SELECT}}) - time()`,
          '{{pod}}',
        ),
      ]),
      lines('Credential fetches', 'In the last hour.', 'short', 12, [
        q(
          `sum by (outcome) (increase(transcribe_relay_credential_refreshes_total{${SELECT}}[1h]))`,
          '{{outcome}}',
        ),
      ]),
    ],
  },
  {
    title: 'From one stream to the next',
    panels: [
      byLabel(
        'Rollovers',
        'A second, by why the stream before ended. Planned: max_duration, credentials_expiring, resumed.',
        'rollovers_total',
        'reason',
        '{{reason}}',
      ),
      lines('Streams', 'Sessions, streams of Amazon Transcribe, and sessions that are parked.', 'short', 8, [
        q(`sum(transcribe_relay_sessions_active{${SELECT}})`, 'sessions'),
        q(`sum(transcribe_relay_upstream_streams_active{${SELECT}})`, 'streams'),
        q(`sum(rate(transcribe_relay_parked_seconds_total{${SELECT}}${RATE}))`, 'parked'),
      ]),
      lines(
        'Replayed and lost',
        'Seconds of audio a second: sent again (billed twice), and speech that no result will cover.',
        'short',
        8,
        [
          q(`sum(rate(transcribe_relay_replayed_seconds_total{${SELECT}}${RATE}))`, 'sent again'),
          q(`sum(rate(transcribe_relay_rollover_lost_seconds_total{${SELECT}}${RATE}))`, 'lost'),
        ],
      ),
    ],
  },
  {
    title: 'Regions',
    panels: [
      lines(
        'Streams of the quota',
        'Counted against the quota of each region, and what there may be.',
        'short',
        8,
        [
          q(`max by (region) (transcribe_relay_region_streams{${SELECT}})`, '{{region}}'),
          q(`max by (region) (transcribe_relay_region_streams_limit{${SELECT}})`, '{{region}} limit'),
        ],
      ),
      lines('Streams opened', 'Where streams are opened.', 'ops', 8, [
        q(
          `sum by (region) (rate(transcribe_relay_region_streams_opened_total{${SELECT}}${RATE}))`,
          '{{region}}',
        ),
      ]),
      lines('Streams that went elsewhere', 'Or had to wait, and why.', 'ops', 8, [
        q(
          `sum by (region, reason) (rate(transcribe_relay_region_spills_total{${SELECT}}${RATE}))`,
          '{{region}} {{reason}}',
        ),
      ]),
      lines('Regions left alone', 'Share of instances whose circuit breaker is open.', 'percentunit', 6, [
        q(`avg by (region) (transcribe_relay_region_breaker_state{state="open", ${SELECT}})`, '{{region}}'),
      ]),
      lines('Sessions that wait', 'For a stream, while every region is full or out of order.', 'short', 6, [
        q(`sum(transcribe_relay_start_queue_length{${SELECT}})`, 'waiting'),
      ]),
      lines('Sessions without a stream', 'They waited too long, or too many did.', 'ops', 6, [
        q(
          `sum by (reason) (rate(transcribe_relay_start_queue_refused_total{${SELECT}}${RATE}))`,
          '{{reason}}',
        ),
      ]),
      lines('Redis failures', 'What Redis did not do.', 'ops', 6, [
        q(
          `sum by (operation) (rate(transcribe_relay_redis_failures_total{${SELECT}}${RATE}))`,
          '{{operation}}',
        ),
      ]),
    ],
  },
  {
    title: 'Clients',
    panels: [
      byLabel(
        'Ends of sessions',
        'A second, by reason (docs/errors.md).',
        'sessions_closed_total',
        'reason',
        '{{class}}: {{reason}}',
        'class, reason',
      ),
      lines('Misbehaviour', 'Sessions a second that ended for it, and warnings.', 'ops', 8, [
        q(
          `sum by (reason) (rate(transcribe_relay_sessions_closed_total{${SELECT}, reason=~"audio_too_fast|rate_limited|slow_consumer|message_too_big|bad_control_message|unsupported_audio"}${RATE}))`,
          '{{reason}}',
        ),
        q(`sum(rate(transcribe_relay_client_forced_closes_total{${SELECT}}${RATE}))`, 'cut off'),
        q(`sum(rate(transcribe_relay_warnings_total{${SELECT}}${RATE}))`, 'warnings'),
      ]),
      lines(
        'Violations of the protocol',
        'A second: broken clients, scanners. Refused: no file descriptor is left.',
        'ops',
        8,
        [
          q(
            `sum by (reason) (rate(transcribe_relay_protocol_violations_total{${SELECT}}${RATE}))`,
            '{{reason}}',
          ),
          q(
            `sum(rate(transcribe_relay_client_connections_refused_total{${SELECT}}${RATE}))`,
            'refused connections',
          ),
        ],
      ),
    ],
  },
  {
    title: 'Process',
    panels: [
      lines('Event-loop delay', 'Above 100 ms everything waits.', 's', 8, [
        q(`max by (pod) (nodejs_eventloop_lag_p50_seconds{${SELECT}} ${OF_RELAYS})`, 'p50 {{pod}}'),
        q(`max by (pod) (nodejs_eventloop_lag_p99_seconds{${SELECT}} ${OF_RELAYS})`, 'p99 {{pod}}'),
        q(`max by (pod) (nodejs_eventloop_lag_max_seconds{${SELECT}} ${OF_RELAYS})`, 'max {{pod}}'),
      ]),
      lines('CPU', 'Cores in use; one event loop uses little more than one.', 'short', 8, [
        q(`sum by (pod) (rate(process_cpu_seconds_total{${SELECT}}${RATE}) ${OF_RELAYS})`, '{{pod}}'),
      ]),
      lines('Garbage collection', 'Share of the time of an instance.', 'percentunit', 8, [
        q(`sum by (pod) (rate(nodejs_gc_duration_seconds_sum{${SELECT}}${RATE}) ${OF_RELAYS})`, '{{pod}}'),
      ]),
      lines('Memory', 'Sockets and TLS are outside of the heap.', 'bytes', 12, [
        q(`sum by (pod) (process_resident_memory_bytes{${SELECT}} ${OF_RELAYS})`, 'resident {{pod}}'),
        q(`sum by (pod) (nodejs_heap_size_used_bytes{${SELECT}} ${OF_RELAYS})`, 'heap {{pod}}'),
        q(`sum by (pod) (nodejs_external_memory_bytes{${SELECT}} ${OF_RELAYS})`, 'external {{pod}}'),
      ]),
      lines('File descriptors', 'In use, of those that there are. A session takes two.', 'percentunit', 12, [
        q(`max by (pod) (process_open_fds{${SELECT}} / process_max_fds{${SELECT}} ${OF_RELAYS})`, '{{pod}}'),
      ]),
      lines(
        'Load of the busiest',
        'At 100 % new sessions are refused for this load, until it has gone down; those that run go on.',
        'percentunit',
        12,
        [
          q(`max by (reason) (transcribe_relay_admission_load_ratio{${SELECT}})`, '{{reason}}'),
          q(`max by (reason) (transcribe_relay_admission_closed{${SELECT}})`, 'closed for {{reason}}'),
        ],
      ),
      lines('Refused as overloaded', 'New sessions, by what there was too much of.', 'ops', 12, [
        q(
          `sum by (reason) (rate(transcribe_relay_admission_refusals_total{${SELECT}}${RATE}))`,
          '{{reason}}',
        ),
      ]),
    ],
  },
  {
    title: 'Lifecycle',
    panels: [
      lines('Ready and draining', 'Instances.', 'short', 8, [
        q(`sum(transcribe_relay_ready{${SELECT}})`, 'ready'),
        q(`sum(transcribe_relay_draining{${SELECT}})`, 'draining'),
        q(
          `sum(changes(process_start_time_seconds{${SELECT}}[1h]) ${OF_RELAYS})`,
          'restarts in the last hour',
        ),
      ]),
      lines('Ended by a shutdown', 'Sessions in the last hour: they reconnect elsewhere.', 'short', 8, [
        q(
          `sum(increase(transcribe_relay_sessions_closed_total{${SELECT}, reason="drain_deadline"}[1h]))`,
          'sessions',
        ),
      ]),
      lines('Log lines', 'A second; lost: the output did not take them.', 'ops', 8, [
        q(`sum by (level) (rate(transcribe_relay_log_lines_total{${SELECT}}${RATE}))`, '{{level}}'),
        q(`sum(rate(transcribe_relay_log_lines_lost_total{${SELECT}}${RATE}))`, 'lost'),
      ]),
      lines('Workers', 'With several workers: died and started again, in the last hour.', 'short', 12, [
        q(
          `sum(increase(transcribe_relay_worker_restarts_total{${SELECT}}[1h])) or vector(0)`,
          'started again',
        ),
      ]),
      lines('Traces', 'Spans a second, by what became of them.', 'ops', 12, [
        q(`sum by (outcome) (rate(transcribe_relay_trace_spans_total{${SELECT}}${RATE}))`, '{{outcome}}'),
      ]),
      {
        title: 'Versions',
        description: 'Instances by version.',
        kind: 'table',
        unit: 'short',
        width: 24,
        queries: [q(`count by (version, node, native) (transcribe_relay_build_info{${SELECT}})`, '')],
      },
    ],
  },
  {
    title: 'Canary',
    panels: [
      lines(
        'Known speech',
        'Share of the words that came back, and whether the run was all right.',
        'percentunit',
        12,
        [
          q(`min(transcribe_relay_canary_word_recall_ratio{${CANARY}})`, 'words'),
          q(`min(transcribe_relay_canary_success{${CANARY}})`, 'success'),
        ],
      ),
      lines('Latency as a client sees it', 'Of the last run.', 's', 12, [
        q(`max(transcribe_relay_canary_begin_seconds{${CANARY}})`, 'request to Begin'),
        q(`max(transcribe_relay_canary_first_result_seconds{${CANARY}})`, 'first audio to first text'),
        q(`max(transcribe_relay_canary_final_lag_seconds{${CANARY}})`, 'end of speech to final'),
      ]),
    ],
  },
]

function q(expr: string, legend: string): Query {
  return { expr, legend }
}

function stat(title: string, description: string, unit: string, expr: string): Panel {
  return { title, description, kind: 'stat', unit, width: 4, queries: [q(expr, '')] }
}

function lines(
  title: string,
  description: string,
  unit: string,
  width: number,
  queries: readonly Query[],
): Panel {
  return { title, description, kind: 'timeseries', unit, width, queries }
}

function byLabel(
  title: string,
  description: string,
  metric: string,
  label: string,
  legend: string,
  by: string = label,
): Panel {
  const expr = `sum by (${by}) (rate(transcribe_relay_${metric}{${SELECT}}${RATE})) > 0`
  return { ...lines(title, description, 'ops', 8, [q(expr, legend)]), stacked: true }
}

function quantiles(title: string, description: string, metric: string): Panel {
  const queries = [0.5, 0.95, 0.99].map(share =>
    q(
      `histogram_quantile(${share}, sum by (le) (rate(transcribe_relay_${metric}_bucket{${SELECT}}${RATE})))`,
      `p${share * 100}`,
    ),
  )
  return lines(title, description, 's', 6, queries)
}

/** Share of the ended sessions that failed. */
function ratio(rate: 'rate' | 'increase', range: string): string {
  const closed = 'transcribe_relay_sessions_closed_total'
  return `sum(${rate}(${closed}{${SELECT}, ${FAILED}}${range})) / sum(${rate}(${closed}{${SELECT}}${range}))`
}
