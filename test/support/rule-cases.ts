/**
 * For each alert what makes it fire, and what does not. Series are those of one minute steps in the notation of
 * promtool: `0+6x30` is 0, 6, 12 … for thirty minutes. Labels `namespace` and `job` are added to every series.
 */

export interface RuleCase {
  /** Series by selector. */
  readonly series: Readonly<Record<string, string>>
  /** When to look, such as `20m`. */
  readonly at: string
}

export interface FiringCase extends RuleCase {
  /** Labels of the alert besides severity, namespace and job; an empty one is none; `null`: not even those two. */
  readonly labels: Readonly<Record<string, string>> | null
  readonly description: string
}

export interface AlertCases {
  readonly fires: readonly FiringCase[]
  readonly quiet: readonly (RuleCase & { readonly why: string })[]
}

const CLOSED = 'transcribe_relay_sessions_closed_total'
const OK = `${CLOSED}{class="ok",reason="normal",instance="a"}`
const BAD = `${CLOSED}{class="upstream_error",reason="upstream_closed",instance="a"}`
const INTERNAL = `${CLOSED}{class="server_error",reason="internal",instance="a"}`
const READY = 'transcribe_relay_ready{instance="a"}'
const DRAINING = 'transcribe_relay_draining{instance="a"}'
const BUILD = 'transcribe_relay_build_info{instance="a",version="1"}'
const FATAL = 'transcribe_relay_log_lines_total{level="fatal",instance="a"}'
const CONNECT_OK = 'transcribe_relay_upstream_connects_total{outcome="ok",reason="none",instance="a"}'
const CONNECT_DNS = 'transcribe_relay_upstream_connects_total{outcome="error",reason="dns",instance="a"}'
const CONNECT_429 = 'transcribe_relay_upstream_connects_total{outcome="error",reason="http_429",instance="a"}'
const LIMIT = 'transcribe_relay_upstream_exceptions_total{exception="LimitExceededException",instance="a"}'
const BAD_REQUEST = 'transcribe_relay_upstream_exceptions_total{exception="BadRequestException",instance="a"}'
const REFRESH_ERROR = 'transcribe_relay_credential_refreshes_total{outcome="error",instance="a"}'
const EXPIRY = 'transcribe_relay_credentials_expiry_timestamp_seconds{instance="a"}'
const ACTIVE = 'transcribe_relay_sessions_active'
const LIMIT_OF_SESSIONS = 'transcribe_relay_sessions_limit'
const HPA = '{horizontalpodautoscaler="live-transcribe-relay"}'

/** For values that the notation cannot repeat. */
function always(value: string): string {
  return Array.from({ length: 40 }, () => value).join(' ')
}

/** All of the observations in the bucket below `le`, so many a minute. */
function histogram(name: string, below: string, perMinute: number): Readonly<Record<string, string>> {
  return {
    [`${name}_bucket{le="0.1",instance="a"}`]: '0x60',
    [`${name}_bucket{le="${below}",instance="a"}`]: `0+${perMinute}x60`,
    [`${name}_bucket{le="+Inf",instance="a"}`]: `0+${perMinute}x60`,
  }
}

function rejected(reason: string, perMinute: number): Readonly<Record<string, string>> {
  return {
    [`transcribe_relay_handshakes_total{outcome="rejected",reason="${reason}",instance="a"}`]: `0+${perMinute}x60`,
  }
}

export const RULE_CASES: Readonly<Record<string, AlertCases>> = {
  TranscribeRelayDown: {
    fires: [
      {
        series: { [READY]: '1x10 0x30', 'transcribe_relay_ready{instance="b"}': '1x10 _x30' },
        at: '20m',
        labels: {},
        description: 'No instance of relay is ready: nobody can start a stream.',
      },
      {
        series: {},
        at: '70m',
        labels: null,
        description: 'No instance of the relay is ready: nobody can start a stream.',
      },
    ],
    quiet: [
      {
        why: 'one of two is ready',
        series: { [READY]: '0x40', 'transcribe_relay_ready{instance="b"}': '1x40' },
        at: '20m',
      },
      { why: 'it was not ready for a moment', series: { [READY]: '1x10 0x1 1x40' }, at: '14m' },
    ],
  },
  TranscribeRelaySessionFailureRatioHigh: {
    fires: [
      {
        series: { [OK]: '0+54x40', [BAD]: '0+6x40' },
        at: '30m',
        labels: {},
        description: '10% of the sessions of relay fail.',
      },
    ],
    quiet: [
      { why: 'one in a hundred', series: { [OK]: '0+99x40', [BAD]: '0+1x40' }, at: '30m' },
      { why: 'too few to judge', series: { [OK]: '0+1x40', [BAD]: '0+1x40' }, at: '30m' },
      {
        why: 'the doing of clients',
        series: { [OK]: '0+54x40', [`${CLOSED}{class="client_error",reason="audio_too_fast"}`]: '0+60x40' },
        at: '30m',
      },
    ],
  },
  TranscribeRelayErrorBudgetBurnFast: {
    fires: [
      {
        series: { [OK]: '0+90x90', [BAD]: '0+10x90' },
        at: '70m',
        labels: {},
        description: '10% of the sessions of relay failed in the last hour.',
      },
    ],
    quiet: [
      { why: 'it is over', series: { [OK]: '0+90x120', [BAD]: '0+10x60 600x60' }, at: '80m' },
      { why: 'the budget lasts', series: { [OK]: '0+95x90', [BAD]: '0+5x90' }, at: '70m' },
    ],
  },
  TranscribeRelayErrorBudgetBurnSlow: {
    fires: [
      {
        series: { [OK]: '0+95x420', [BAD]: '0+5x420' },
        at: '390m',
        labels: {},
        description: '5% of the sessions of relay failed in the last six hours.',
      },
    ],
    quiet: [{ why: 'the budget lasts', series: { [OK]: '0+98x420', [BAD]: '0+2x420' }, at: '390m' }],
  },
  TranscribeRelayNotReady: {
    fires: [
      {
        series: { [READY]: '0x30', [DRAINING]: '0x30' },
        at: '10m',
        labels: { instance: 'a' },
        description: 'a says 503 at /readyz; the answer names the reason.',
      },
    ],
    quiet: [
      { why: 'it drains', series: { [READY]: '0x30', [DRAINING]: '1x30' }, at: '10m' },
      { why: 'it is ready', series: { [READY]: '1x30', [DRAINING]: '0x30' }, at: '10m' },
    ],
  },
  TranscribeRelayInstanceUnreachable: {
    fires: [
      {
        series: { 'up{instance="a"}': '1x5 0x30', [BUILD]: '1x5 _x30' },
        at: '20m',
        labels: { instance: 'a' },
        description: 'a does not answer at /metrics.',
      },
    ],
    quiet: [
      { why: 'it answers', series: { 'up{instance="a"}': '1x30', [BUILD]: '1x30' }, at: '20m' },
      { why: 'it is no relay', series: { 'up{instance="b"}': '0x30', [BUILD]: '1x30' }, at: '20m' },
    ],
  },
  TranscribeRelayInternalErrors: {
    fires: [
      {
        series: { [INTERNAL]: '0x10 1x30', [FATAL]: '0x40' },
        at: '15m',
        labels: {},
        description: 'About 1 sessions of relay ended with internal, or the process failed.',
      },
      {
        series: { [INTERNAL]: '0x40', [FATAL]: '0x10 1x30' },
        at: '15m',
        labels: {},
        description: 'About 1 sessions of relay ended with internal, or the process failed.',
      },
    ],
    quiet: [
      { why: 'another failure', series: { [INTERNAL]: '0x40', [FATAL]: '0x40', [BAD]: '0+5x40' }, at: '15m' },
    ],
  },
  TranscribeRelayUpstreamConnectErrors: {
    fires: [
      {
        series: { [CONNECT_OK]: '0+45x40', [CONNECT_DNS]: '0+15x40' },
        at: '20m',
        labels: { reason: 'dns' },
        description: '25% of the connection attempts of relay fail with dns.',
      },
    ],
    quiet: [
      { why: 'one in twenty', series: { [CONNECT_OK]: '0+57x40', [CONNECT_DNS]: '0+3x40' }, at: '20m' },
      { why: 'nobody connects', series: { [CONNECT_OK]: '0x40', [CONNECT_DNS]: '0x40' }, at: '20m' },
    ],
  },
  TranscribeRelayUpstreamConnectSlow: {
    fires: [
      {
        series: histogram('transcribe_relay_upstream_connect_duration_seconds', '5', 6),
        at: '30m',
        labels: {},
        description: 'One connection in twenty of relay takes more than 4.8 s.',
      },
    ],
    quiet: [
      {
        why: 'it is quick',
        series: histogram('transcribe_relay_upstream_connect_duration_seconds', '0.3', 6),
        at: '30m',
      },
      {
        why: 'nobody connects',
        series: histogram('transcribe_relay_upstream_connect_duration_seconds', '5', 0),
        at: '30m',
      },
    ],
  },
  TranscribeRelayUpstreamThrottled: {
    fires: [
      {
        series: { [LIMIT]: '0+1x40', [CONNECT_429]: '0+1x40' },
        at: '30m',
        labels: {},
        description: 'About 20 streams of relay were refused by a quota in ten minutes.',
      },
    ],
    quiet: [
      { why: 'hardly ever', series: { [LIMIT]: '0x12 2x30', [CONNECT_429]: '0x40' }, at: '20m' },
      {
        why: 'another exception',
        series: { [LIMIT]: '0x40', [BAD_REQUEST]: '0+9x40', [CONNECT_429]: '0x40' },
        at: '30m',
      },
    ],
  },
  TranscribeRelayUpstreamProtocolErrors: {
    fires: [
      {
        series: {
          [`${CLOSED}{class="upstream_error",reason="upstream_protocol"}`]: '0x5 6x40',
          'transcribe_relay_eventstream_decode_errors_total{reason="bad_message_crc"}': '0x5 6x40',
        },
        at: '10m',
        labels: {},
        description: 'About 12 times in a quarter of an hour relay got what is not the protocol.',
      },
    ],
    quiet: [
      {
        why: 'once in a while',
        series: {
          [`${CLOSED}{class="upstream_error",reason="upstream_protocol"}`]: '0x5 1x40',
          'transcribe_relay_eventstream_decode_errors_total{reason="bad_message_crc"}': '0x40',
        },
        at: '15m',
      },
    ],
  },
  TranscribeRelayCredentialsFailing: {
    fires: [
      {
        series: { [EXPIRY]: '1200x40' },
        at: '19m',
        labels: { instance: 'a' },
        description: 'a cannot fetch AWS credentials, or those it has end within four minutes.',
      },
      {
        series: { [EXPIRY]: always('NaN'), [REFRESH_ERROR]: '0+1x40' },
        at: '19m',
        labels: { instance: 'a' },
        description: 'a cannot fetch AWS credentials, or those it has end within four minutes.',
      },
    ],
    quiet: [
      { why: 'they end in an hour', series: { [EXPIRY]: '4800x40', [REFRESH_ERROR]: '0x40' }, at: '19m' },
      { why: 'they never end', series: { [EXPIRY]: always('Inf'), [REFRESH_ERROR]: '0x40' }, at: '19m' },
      { why: 'one fetch failed', series: { [EXPIRY]: '4800x40', [REFRESH_ERROR]: '0x10 1x30' }, at: '19m' },
    ],
  },
  TranscribeRelayResultsLate: {
    fires: [
      {
        series: histogram('transcribe_relay_partial_lag_seconds', '5', 60),
        at: '30m',
        labels: {},
        description: 'One result in twenty of relay comes more than 4.8 s after its audio.',
      },
    ],
    quiet: [
      {
        why: 'they are soon',
        series: histogram('transcribe_relay_partial_lag_seconds', '0.75', 60),
        at: '30m',
      },
    ],
  },
  TranscribeRelayAudioDropped: {
    fires: [
      {
        series: {
          'transcribe_relay_audio_dropped_bytes_total{instance="a"}': '0+50x60',
          'transcribe_relay_client_audio_bytes_total{instance="a"}': '0+1000x60',
        },
        at: '40m',
        labels: {},
        description: '5% of the audio that relay receives is not forwarded.',
      },
    ],
    quiet: [
      {
        why: 'what is left when a client goes',
        series: {
          'transcribe_relay_audio_dropped_bytes_total{instance="a"}': '0+5x60',
          'transcribe_relay_client_audio_bytes_total{instance="a"}': '0+1000x60',
        },
        at: '40m',
      },
    ],
  },
  TranscribeRelayNearCapacity: {
    fires: [
      {
        series: {
          [`${ACTIVE}{instance="a"}`]: '95x40',
          [`${ACTIVE}{instance="b"}`]: '85x40',
          [`${LIMIT_OF_SESSIONS}{instance="a"}`]: '100x40',
          [`${LIMIT_OF_SESSIONS}{instance="b"}`]: '100x40',
        },
        at: '20m',
        labels: {},
        description: '90% of the sessions that relay may have are open.',
      },
    ],
    quiet: [
      {
        why: 'one of two has room',
        series: {
          [`${ACTIVE}{instance="a"}`]: '100x40',
          [`${ACTIVE}{instance="b"}`]: '10x40',
          [`${LIMIT_OF_SESSIONS}{instance="a"}`]: '100x40',
          [`${LIMIT_OF_SESSIONS}{instance="b"}`]: '100x40',
        },
        at: '20m',
      },
    ],
  },
  TranscribeRelayRejectingSessions: {
    fires: [
      {
        series: rejected('overloaded', 60),
        at: '20m',
        labels: { reason: 'overloaded' },
        description: 'relay refuses 1.0 clients a second with overloaded.',
      },
    ],
    quiet: [
      { why: 'a shutdown', series: rejected('draining', 60), at: '20m' },
      { why: 'hardly ever', series: rejected('overloaded', 1), at: '20m' },
    ],
  },
  TranscribeRelayEventLoopLagHigh: {
    fires: [
      {
        series: { 'nodejs_eventloop_lag_p99_seconds{instance="a"}': '0.25x40', [BUILD]: '1x40' },
        at: '20m',
        labels: { instance: 'a' },
        description: 'The event loop of a is 250ms late at times: audio and results wait.',
      },
    ],
    quiet: [
      {
        why: 'it keeps up',
        series: { 'nodejs_eventloop_lag_p99_seconds{instance="a"}': '0.02x40', [BUILD]: '1x40' },
        at: '20m',
      },
      {
        why: 'another program',
        series: { 'nodejs_eventloop_lag_p99_seconds{instance="b"}': '2x40', [BUILD]: '1x40' },
        at: '20m',
      },
    ],
  },
  TranscribeRelayFileDescriptorsExhausting: {
    fires: [
      {
        series: {
          'process_open_fds{instance="a"}': '900x40',
          'process_max_fds{instance="a"}': '1000x40',
          [BUILD]: '1x40',
        },
        at: '20m',
        labels: { instance: 'a' },
        description: '90% of the file descriptors of a are in use.',
      },
    ],
    quiet: [
      {
        why: 'half of them',
        series: {
          'process_open_fds{instance="a"}': '500x40',
          'process_max_fds{instance="a"}': '1000x40',
          [BUILD]: '1x40',
        },
        at: '20m',
      },
    ],
  },
  TranscribeRelayConnectionsRefused: {
    fires: [
      {
        series: { 'transcribe_relay_client_connections_refused_total{instance="a"}': '0+2x40' },
        at: '20m',
        labels: { instance: 'a' },
        description: 'a cut about 10 connections in five minutes.',
      },
    ],
    quiet: [
      {
        why: 'it was long ago',
        series: { 'transcribe_relay_client_connections_refused_total{instance="a"}': '9x40' },
        at: '20m',
      },
    ],
  },
  TranscribeRelayHPAMaxedOut: {
    fires: [
      {
        series: {
          [`kube_horizontalpodautoscaler_status_current_replicas${HPA}`]: '50x40',
          [`kube_horizontalpodautoscaler_spec_max_replicas${HPA}`]: '50x40',
        },
        at: '30m',
        labels: { horizontalpodautoscaler: 'live-transcribe-relay', job: '' },
        description: 'live-transcribe-relay runs all 50 replicas that it may.',
      },
    ],
    quiet: [
      {
        why: 'there is room',
        series: {
          [`kube_horizontalpodautoscaler_status_current_replicas${HPA}`]: '49x40',
          [`kube_horizontalpodautoscaler_spec_max_replicas${HPA}`]: '50x40',
        },
        at: '30m',
      },
    ],
  },
  TranscribeRelayBadRequests: {
    fires: [
      {
        series: rejected('not_found', 600),
        at: '30m',
        labels: { reason: 'not_found' },
        description: 'relay refuses 10.0 requests a second with not_found.',
      },
    ],
    quiet: [{ why: 'a scan', series: rejected('not_found', 60), at: '30m' }],
  },
  TranscribeRelaySlowConsumers: {
    fires: [
      {
        series: {
          [`${CLOSED}{class="client_error",reason="slow_consumer"}`]: '0+6x60',
          'transcribe_relay_client_forced_closes_total{instance="a"}': '0x60',
        },
        at: '40m',
        labels: {},
        description: 'relay cuts off 0.10 clients a second that read too slowly.',
      },
    ],
    quiet: [
      {
        why: 'one a minute',
        series: {
          [`${CLOSED}{class="client_error",reason="slow_consumer"}`]: '0+1x60',
          'transcribe_relay_client_forced_closes_total{instance="a"}': '0+1x60',
        },
        at: '40m',
      },
    ],
  },
  TranscribeRelayDrainIncomplete: {
    fires: [
      {
        series: { [`${CLOSED}{class="ok",reason="drain_deadline",instance="a"}`]: '0x10 3x1 _x30' },
        at: '15m',
        labels: {},
        description: 'About 3 sessions of relay were ended by a shutdown in half an hour.',
      },
    ],
    quiet: [
      {
        why: 'all were done',
        series: { [`${CLOSED}{class="ok",reason="drain_deadline"}`]: '0x40', [OK]: '0+9x40' },
        at: '15m',
      },
    ],
  },
  TranscribeRelayCrashLooping: {
    fires: [
      {
        series: {
          'kube_pod_container_status_restarts_total{container="transcribe-relay",pod="p"}': '0+1x40',
        },
        at: '25m',
        labels: { container: 'transcribe-relay', pod: 'p' },
        description: 'p was restarted about 15 times in a quarter of an hour.',
      },
    ],
    quiet: [
      {
        why: 'one restart',
        series: {
          'kube_pod_container_status_restarts_total{container="transcribe-relay",pod="p"}': '0x10 1x30',
        },
        at: '20m',
      },
      {
        why: 'another container',
        series: { 'kube_pod_container_status_restarts_total{container="proxy",pod="p"}': '0+1x40' },
        at: '25m',
      },
    ],
  },
  TranscribeRelayLogLinesLost: {
    fires: [
      {
        series: { 'transcribe_relay_log_lines_lost_total{instance="a"}': '0+2x40' },
        at: '20m',
        labels: { instance: 'a' },
        description: 'The output of a did not take about 30 log lines.',
      },
    ],
    quiet: [
      {
        why: 'none lately',
        series: { 'transcribe_relay_log_lines_lost_total{instance="a"}': '7x40' },
        at: '20m',
      },
    ],
  },
  TranscribeRelayCanaryFailing: {
    fires: [
      {
        series: { 'transcribe_relay_canary_success{instance="a"}': '1x5 0x30' },
        at: '15m',
        labels: {},
        description: 'The runs of relay fail: no stream, wrong words or late words.',
      },
    ],
    quiet: [
      {
        why: 'one run failed',
        series: { 'transcribe_relay_canary_success{instance="a"}': '1x5 0x1 1x30' },
        at: '8m',
      },
      {
        why: 'there was no run yet',
        series: { 'transcribe_relay_canary_success{instance="a"}': always('NaN') },
        at: '15m',
      },
    ],
  },
  TranscribeRelayCanarySilent: {
    fires: [
      {
        series: {
          'up{instance="a"}': '1x5 0x30',
          'transcribe_relay_canary_success{instance="a"}': '1x5 _x30',
        },
        at: '20m',
        labels: { instance: 'a' },
        description: 'a is gone or does not run: nobody watches the relay from outside.',
      },
      {
        series: { 'transcribe_relay_canary_last_run_timestamp_seconds{instance="a"}': '60x60' },
        at: '50m',
        labels: { instance: 'a' },
        description: 'a is gone or does not run: nobody watches the relay from outside.',
      },
    ],
    quiet: [
      {
        why: 'it runs',
        series: {
          'up{instance="a"}': '1x60',
          'transcribe_relay_canary_success{instance="a"}': '1x60',
          'transcribe_relay_canary_last_run_timestamp_seconds{instance="a"}': '0+60x60',
        },
        at: '50m',
      },
    ],
  },
}
