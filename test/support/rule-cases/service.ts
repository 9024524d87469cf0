/** Cases of the alerts on sessions and on the way to Amazon Transcribe. */
import type { AlertCases } from './series.ts'
import {
  CLOSED,
  OK,
  BAD,
  INTERNAL,
  READY,
  DRAINING,
  BUILD,
  FATAL,
  CONNECT_OK,
  CONNECT_DNS,
  CONNECT_429,
  LIMIT,
  BAD_REQUEST,
  REFRESH_ERROR,
  EXPIRY,
  always,
  histogram,
} from './series.ts'

export const SERVICE_CASES: Readonly<Record<string, AlertCases>> = {
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
}
