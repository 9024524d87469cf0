/** Cases of the alerts on capacity, clients, lifecycle and canary. */
import type { AlertCases } from './series.ts'
import { CLOSED, OK, BUILD, ACTIVE, LIMIT_OF_SESSIONS, HPA, always, rejected } from './series.ts'

export const CAPACITY_CASES: Readonly<Record<string, AlertCases>> = {
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
  TranscribeRelayShedding: {
    fires: [
      {
        series: { 'transcribe_relay_admission_closed{instance="a",reason="memory"}': '1x40' },
        at: '20m',
        labels: { instance: 'a', reason: 'memory' },
        description: 'a refused new sessions in 100% of the last ten minutes (memory).',
      },
    ],
    quiet: [
      {
        why: 'a burst that passed',
        series: { 'transcribe_relay_admission_closed{instance="a",reason="lag"}': '0x15 1x3 0x22' },
        at: '20m',
      },
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
  TranscribeRelayCertificateEnding: {
    fires: [
      {
        series: { 'transcribe_relay_tls_certificate_expiry_timestamp_seconds{instance="a"}': '260400x40' },
        at: '20m',
        labels: { instance: 'a' },
        description: 'The certificate of a is good for 3d 0h 0m 0s; then no client connects.',
      },
    ],
    quiet: [
      {
        why: 'a month is left',
        series: { 'transcribe_relay_tls_certificate_expiry_timestamp_seconds{instance="a"}': '2592000x40' },
        at: '20m',
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
      {
        // Its pod is Pending, evicted or scaled away: nobody scrapes it any more, and the relay beside it is well.
        series: {
          'up{instance="relay"}': '1x40',
          'up{instance="a"}': '1x5 stale',
          'transcribe_relay_canary_success{instance="a"}': '1x5 stale',
          'transcribe_relay_canary_last_run_timestamp_seconds{instance="a"}': '0+60x5 stale',
        },
        at: '20m',
        labels: {},
        description: 'The canary of relay is gone or does not run: nobody watches the relay from outside.',
      },
    ],
    quiet: [
      {
        why: 'another pod has taken its place',
        series: {
          'up{instance="a"}': '1x5 stale',
          'transcribe_relay_canary_success{instance="a"}': '1x5 stale',
          'up{instance="b"}': '_x7 1x40',
          'transcribe_relay_canary_success{instance="b"}': '_x7 1x40',
          'transcribe_relay_canary_last_run_timestamp_seconds{instance="b"}': '_x7 420+60x40',
        },
        at: '40m',
      },
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
