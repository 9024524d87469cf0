import { spawnSync } from 'node:child_process'
import t from 'tap'
import { ERRORS, ERROR_CODES } from '../../src/errors.ts'
import { EVENT_STREAM_ERROR_CODES } from '../../src/eventstream/errors.ts'
import type { MetricSources, RelayMetrics } from '../../src/metrics/registry.ts'
import { createMetrics } from '../../src/metrics/registry.ts'
import { VIOLATION_CODES } from '../../src/server/metrics.ts'
import type { ServerMetrics } from '../../src/server/metrics.ts'
import { ROLLOVER_REASONS } from '../../src/session/rollover-policy.ts'
import { EXCEPTION_LABELS } from '../../src/transcribe/exceptions.ts'
import { CONNECT_REASONS } from '../../src/upstream/connect-failure.ts'
import type { DialMetrics } from '../../src/upstream/dial.ts'

const QUIET: MetricSources = {
  activeSessions: () => 0,
  maxSessions: () => 1000,
  sessionsAway: () => 0,
  admission: { refusals: () => 0, isClosed: () => false, load: () => 0 },
  isReady: () => false,
  isDraining: () => false,
  clientBufferedBytes: () => ({ sum: 0, max: 0 }),
  upstreamBufferedBytes: () => ({ sum: 0, max: 0 }),
  credentials: () => ({ refreshesOk: 0, refreshesFailed: 0, expiresAtMs: null }),
  logLines: () => ({ info: 0 }),
}

function openMetrics(sources: Partial<MetricSources> = {}): RelayMetrics {
  return createMetrics({
    version: '1.2.3',
    connectReasons: CONNECT_REASONS,
    violationReasons: VIOLATION_CODES,
    sources: { ...QUIET, ...sources },
  })
}

/** Samples of a scrape by name and labels, `sessions_closed_total{class="ok",reason="normal"}`, without the prefix. */
async function samplesOf(metrics: RelayMetrics): Promise<Map<string, string>> {
  const { body } = await metrics.scrape()
  const lines = body.split('\n').filter(line => line !== '' && !line.startsWith('#'))
  return new Map(
    lines.map(line => {
      const cut = line.lastIndexOf(' ')
      return [line.slice(0, cut).replace(/^transcribe_relay_/, ''), line.slice(cut + 1)]
    }),
  )
}

/** Without those of the process, some of which come with their first event. */
function ownNames(samples: Map<string, string>): string[] {
  return [...samples.keys()].filter(name => !/^(nodejs|process)_/.test(name))
}

t.test('every series is there from the start, with its zero (OB-06)', async t => {
  const samples = await samplesOf(openMetrics())
  const expected = [
    'sessions_active',
    'sessions_started_total',
    ...ERROR_CODES.map(code => `sessions_closed_total{class="${ERRORS[code].class}",reason="${code}"}`),
    'session_duration_seconds_count',
    'handshakes_total{outcome="accepted",reason="normal"}',
    'handshakes_total{outcome="rejected",reason="invalid_request"}',
    'handshakes_total{outcome="rejected",reason="client_closed"}',
    'handshakes_total{outcome="rejected",reason="other"}',
    'handshake_duration_seconds_bucket{le="+Inf"}',
    'client_connections_refused_total',
    'client_forced_closes_total',
    ...[...VIOLATION_CODES, 'other'].map(reason => `protocol_violations_total{reason="${reason}"}`),
    'client_audio_messages_total',
    'client_audio_bytes_total',
    'client_audio_seconds_total',
    'audio_dropped_bytes_total',
    'upstream_frames_total',
    'upstream_audio_bytes_total',
    'silence_filled_seconds_total',
    'results_total{kind="partial"}',
    'results_total{kind="final"}',
    'partials_dropped_total',
    'partials_withheld_total',
    'client_sent_bytes_total',
    'warnings_total',
    'upstream_dials_waiting',
    'upstream_streams_active',
    ...ROLLOVER_REASONS.map(reason => `rollovers_total{reason="${reason}"}`),
    'replayed_seconds_total',
    'rollover_lost_seconds_total',
    'parked_seconds_total',
    'results_repeated_total',
    'partial_lag_seconds_sum',
    'final_lag_seconds_sum',
    'upstream_connects_total{outcome="ok",reason="none"}',
    ...[...CONNECT_REASONS, 'other'].map(
      reason => `upstream_connects_total{outcome="error",reason="${reason}"}`,
    ),
    'upstream_connect_duration_seconds_count',
    ...EXCEPTION_LABELS.map(exception => `upstream_exceptions_total{exception="${exception}"}`),
    'upstream_unknown_events_total',
    ...[...EVENT_STREAM_ERROR_CODES, 'other'].map(
      reason => `eventstream_decode_errors_total{reason="${reason}"}`,
    ),
    'credential_refreshes_total{outcome="ok"}',
    'credential_refreshes_total{outcome="error"}',
    'client_buffered_bytes{agg="sum"}',
    'client_buffered_bytes{agg="max"}',
    'upstream_buffered_bytes{agg="sum"}',
    'upstream_buffered_bytes{agg="max"}',
    'ready',
    'draining',
    ...['fatal', 'error', 'warn', 'info', 'debug', 'trace'].map(level => `log_lines_total{level="${level}"}`),
    'log_lines_lost_total',
    ...['exported', 'failed', 'dropped'].map(outcome => `trace_spans_total{outcome="${outcome}"}`),
  ]
  for (const name of expected) t.equal(samples.get(name), '0', name)
  t.equal(samples.get('sessions_limit'), '1000')
  t.equal(samples.get('credentials_expiry_timestamp_seconds'), 'Nan')
  t.ok(samples.has(`build_info{version="1.2.3",node="${process.versions.node}",native="unknown"}`))
})

t.test('what is counted and observed is in the next scrape, and the one after', async t => {
  const metrics = openMetrics({
    activeSessions: () => 2,
    isReady: () => true,
    isDraining: () => true,
    clientBufferedBytes: () => ({ sum: 30, max: 20 }),
    upstreamBufferedBytes: () => ({ sum: 3, max: 2 }),
    credentials: () => ({ refreshesOk: 4, refreshesFailed: 5, expiresAtMs: 1_700_000_000_500 }),
    logLines: () => ({ info: 6, error: 7 }),
    lostLogLines: () => 8,
    traceSpans: () => ({ exported: 9, failed: 10, dropped: 11 }),
  })
  metrics.clientAudioBytes += 3200
  metrics.clientAudioMessages += 1
  metrics.clientAudioSeconds += 0.1
  metrics.upstreamAudioBytes += 3201
  metrics.upstreamFrames += 2
  metrics.silenceFilledSeconds += 0.2
  metrics.audioDroppedBytes += 11
  metrics.resultsPartial += 12
  metrics.resultsFinal += 13
  metrics.partialsDropped += 14
  metrics.partialsWithheld += 15
  metrics.clientSentBytes += 16
  metrics.warnings += 17
  metrics.unknownEvents += 18
  metrics.upstreamStreamsActive += 19
  metrics.upstreamDialsWaiting += 20
  metrics.replayedSeconds += 20.5
  metrics.rolloverLostSeconds += 21.5
  metrics.parkedSeconds += 22.5
  metrics.resultsRepeated += 23
  metrics.countRollover('upstream_closed')
  metrics.countSessionStarted()
  metrics.countSessionEnded('audio_timeout', 45)
  metrics.countHandshake('accepted', 'normal')
  metrics.countHandshake('rejected', 'overloaded')
  metrics.observeHandshakeSeconds(0.004)
  metrics.countViolation('invalid_utf8')
  metrics.countForcedClose()
  metrics.countConnectionRefused()
  metrics.countConnect('ok', 'none')
  metrics.countConnect('error', 'dns')
  metrics.countUpstreamException('LimitExceededException')
  metrics.countDecodeError('bad_message_crc')
  metrics.observePartialLagSeconds(0.4)
  metrics.observeFinalLagSeconds(1.2)
  metrics.observeUpstreamConnectSeconds(0.15)
  metrics.setBuild('uws')
  const expected = {
    sessions_active: '2',
    ready: '1',
    draining: '1',
    'client_buffered_bytes{agg="sum"}': '30',
    'client_buffered_bytes{agg="max"}': '20',
    'upstream_buffered_bytes{agg="sum"}': '3',
    'upstream_buffered_bytes{agg="max"}': '2',
    'credential_refreshes_total{outcome="ok"}': '4',
    'credential_refreshes_total{outcome="error"}': '5',
    credentials_expiry_timestamp_seconds: '1700000000.5',
    'log_lines_total{level="info"}': '6',
    'log_lines_total{level="error"}': '7',
    log_lines_lost_total: '8',
    'trace_spans_total{outcome="exported"}': '9',
    'trace_spans_total{outcome="failed"}': '10',
    'trace_spans_total{outcome="dropped"}': '11',
    client_audio_bytes_total: '3200',
    client_audio_messages_total: '1',
    client_audio_seconds_total: '0.1',
    upstream_audio_bytes_total: '3201',
    upstream_frames_total: '2',
    silence_filled_seconds_total: '0.2',
    audio_dropped_bytes_total: '11',
    'results_total{kind="partial"}': '12',
    'results_total{kind="final"}': '13',
    partials_dropped_total: '14',
    partials_withheld_total: '15',
    client_sent_bytes_total: '16',
    warnings_total: '17',
    upstream_unknown_events_total: '18',
    upstream_dials_waiting: '20',
    upstream_streams_active: '19',
    replayed_seconds_total: '20.5',
    rollover_lost_seconds_total: '21.5',
    parked_seconds_total: '22.5',
    results_repeated_total: '23',
    'rollovers_total{reason="upstream_closed"}': '1',
    sessions_started_total: '1',
    'sessions_closed_total{class="client_error",reason="audio_timeout"}': '1',
    'session_duration_seconds_bucket{le="30"}': '0',
    'session_duration_seconds_bucket{le="60"}': '1',
    'handshakes_total{outcome="accepted",reason="normal"}': '1',
    'handshakes_total{outcome="rejected",reason="overloaded"}': '1',
    'handshake_duration_seconds_bucket{le="0.005"}': '1',
    'protocol_violations_total{reason="invalid_utf8"}': '1',
    client_forced_closes_total: '1',
    client_connections_refused_total: '1',
    'upstream_connects_total{outcome="ok",reason="none"}': '1',
    'upstream_connects_total{outcome="error",reason="dns"}': '1',
    'upstream_exceptions_total{exception="LimitExceededException"}': '1',
    'eventstream_decode_errors_total{reason="bad_message_crc"}': '1',
    'partial_lag_seconds_bucket{le="0.5"}': '1',
    final_lag_seconds_sum: '1.2',
    'upstream_connect_duration_seconds_bucket{le="0.2"}': '1',
    [`build_info{version="1.2.3",node="${process.versions.node}",native="uws"}`]: '1',
  }
  const first = await samplesOf(metrics)
  for (const [name, value] of Object.entries(expected)) t.equal(first.get(name), value, name)
  const second = await samplesOf(metrics)
  for (const [name, value] of Object.entries(expected)) t.equal(second.get(name), value, `${name} again`)
})

t.test('credentials without an end are told from none', async t => {
  const credentials = { refreshesOk: 1, refreshesFailed: 0, expiresAtMs: null }
  const samples = await samplesOf(openMetrics({ credentials: () => credentials }))
  t.equal(samples.get('credentials_expiry_timestamp_seconds'), '+Inf')
})

t.test('a label value from outside of its list is "other", and makes no series (OB-01)', async t => {
  const metrics = openMetrics()
  const before = await samplesOf(metrics)
  metrics.countConnect('error', 'c4n4ry')
  metrics.countViolation('c4n4ry')
  metrics.countDecodeError('c4n4ry')
  metrics.countUpstreamException('c4n4ry')
  metrics.countHandshake('rejected', 'flush_timeout')
  metrics.countHandshake('accepted', 'flush_timeout')
  const after = await samplesOf(metrics)
  t.equal(after.get('upstream_connects_total{outcome="error",reason="other"}'), '1')
  t.equal(after.get('protocol_violations_total{reason="other"}'), '1')
  t.equal(after.get('eventstream_decode_errors_total{reason="other"}'), '1')
  t.equal(after.get('upstream_exceptions_total{exception="other"}'), '1')
  t.equal(after.get('handshakes_total{outcome="rejected",reason="other"}'), '1')
  t.same(ownNames(after), ownNames(before))
})

t.test('a measurement that is no duration is left out', async t => {
  const metrics = openMetrics()
  for (const seconds of [Number.NaN, Infinity, -1]) metrics.observeFinalLagSeconds(seconds)
  t.equal((await samplesOf(metrics)).get('final_lag_seconds_count'), '0')
})

t.test('a relay has fewer than 400 series, the process included', async t => {
  const samples = await samplesOf(openMetrics())
  t.ok(samples.size < 400, `${samples.size} series`)
  t.ok(samples.has('process_open_fds'))
  t.ok(samples.has('nodejs_eventloop_lag_p99_seconds'))
})

t.test('two relays in one process have figures of their own', async t => {
  const [one, two] = [openMetrics(), openMetrics()]
  one.countSessionStarted()
  t.equal((await samplesOf(one)).get('sessions_started_total'), '1')
  t.equal((await samplesOf(two)).get('sessions_started_total'), '0')
})

t.test('the scrape is the text format of Prometheus, each name once with help and type', async t => {
  const { contentType, body } = await openMetrics().scrape()
  t.match(contentType, /^text\/plain; version=0\.0\.4/)
  t.ok(body.endsWith('\n'))
  const typed = body
    .split('\n')
    .filter(line => line.startsWith('# TYPE '))
    .map(line => line.split(' ')[2])
  t.equal(new Set(typed).size, typed.length)
  const promtool = spawnSync('promtool', ['check', 'metrics'], { input: body, encoding: 'utf8' })
  if (promtool.error === undefined)
    t.equal(promtool.stdout + promtool.stderr, '', 'promtool has nothing to say')
})

t.test('the figures are what the two sides ask for', async t => {
  const metrics = openMetrics()
  const server: ServerMetrics = metrics
  const dial: DialMetrics = metrics
  t.equal(server, dial)
})
