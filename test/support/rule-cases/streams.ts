/** Cases of the alerts on streams that take each other's place, workers and traces. */
import type { AlertCases } from './series.ts'
import { ACTIVE } from './series.ts'

const STREAMS = 'transcribe_relay_upstream_streams_active{instance="a"}'
const SESSIONS = `${ACTIVE}{instance="a"}`
const AUDIO = 'transcribe_relay_client_audio_seconds_total{instance="a"}'
const LOST = 'transcribe_relay_rollover_lost_seconds_total{instance="a"}'
const REPLAYED = 'transcribe_relay_replayed_seconds_total{instance="a"}'
const PARKED = 'transcribe_relay_parked_seconds_total{instance="a"}'
const RESTARTS = 'transcribe_relay_worker_restarts_total{instance="a"}'

function rollovers(reason: string): string {
  return `transcribe_relay_rollovers_total{reason="${reason}",instance="a"}`
}

function spans(outcome: string): string {
  return `transcribe_relay_trace_spans_total{outcome="${outcome}",instance="a"}`
}

export const STREAM_CASES: Readonly<Record<string, AlertCases>> = {
  TranscribeRelayRolloversFrequent: {
    fires: [
      {
        // Three a minute of sixty streams.
        series: { [rollovers('upstream_closed')]: '0+3x60', [STREAMS]: '60x60' },
        at: '40m',
        labels: {},
        description: 'A stream of relay breaks about 3.0 times an hour; sessions go on in others.',
      },
    ],
    quiet: [
      {
        why: 'planned',
        series: {
          [rollovers('max_duration')]: '0+30x60',
          [rollovers('credentials_expiring')]: '0+30x60',
          [rollovers('resumed')]: '0+30x60',
          [STREAMS]: '60x60',
        },
        at: '40m',
      },
      {
        why: 'so many streams that it is little',
        series: { [rollovers('upstream_closed')]: '0+3x60', [STREAMS]: '600x60' },
        at: '40m',
      },
      {
        why: 'one of few',
        series: { [rollovers('upstream_closed')]: '0x20 1x40', [STREAMS]: '1x60' },
        at: '31m',
      },
    ],
  },
  TranscribeRelaySpeechLost: {
    fires: [
      {
        series: { [LOST]: '0+2x60' },
        at: '40m',
        labels: {},
        description: 'About 30s of speech to relay will never have a result.',
      },
    ],
    quiet: [
      { why: 'none', series: { [LOST]: '0x60' }, at: '40m' },
      { why: 'long ago', series: { [LOST]: '0x5 100x60' }, at: '40m' },
    ],
  },
  TranscribeRelayReplayHigh: {
    fires: [
      {
        series: { [REPLAYED]: '0+60x90', [AUDIO]: '0+600x90' },
        at: '60m',
        labels: {},
        description: '10% of the audio of relay is sent again to another stream.',
      },
    ],
    quiet: [
      { why: 'a little', series: { [REPLAYED]: '0+6x90', [AUDIO]: '0+600x90' }, at: '60m' },
      { why: 'of next to nothing', series: { [REPLAYED]: '0+1x90', [AUDIO]: '0+2x90' }, at: '60m' },
    ],
  },
  TranscribeRelaySessionsParked: {
    fires: [
      {
        // Ninety of a hundred sessions, all the time.
        series: { [PARKED]: '0+5400x150', [SESSIONS]: '100x150' },
        at: '140m',
        labels: {},
        description: 'Sessions of relay are without speech for 90% of their time.',
      },
    ],
    quiet: [
      { why: 'half of them', series: { [PARKED]: '0+3000x150', [SESSIONS]: '100x150' }, at: '140m' },
      { why: 'few', series: { [PARKED]: '0+300x150', [SESSIONS]: '5x150' }, at: '140m' },
      { why: 'nobody', series: { [PARKED]: '0x150', [SESSIONS]: '0x150' }, at: '140m' },
    ],
  },
  TranscribeRelayWorkerRestarts: {
    fires: [
      {
        series: { [RESTARTS]: '0x20 1x40' },
        at: '30m',
        labels: { instance: 'a' },
        description: 'About 1 workers of a were started again in half an hour.',
      },
    ],
    quiet: [
      { why: 'none', series: { [RESTARTS]: '0x60' }, at: '40m' },
      { why: 'an hour ago', series: { [RESTARTS]: '0x5 3x90' }, at: '80m' },
    ],
  },
  TranscribeRelayTracesLost: {
    fires: [
      {
        series: { [spans('failed')]: '0+2x60', [spans('exported')]: '0+100x60', [spans('dropped')]: '0x60' },
        at: '40m',
        labels: { outcome: 'failed' },
        description: 'About 30 spans of relay are lost (failed).',
      },
    ],
    quiet: [
      {
        why: 'all arrive',
        series: { [spans('failed')]: '0x60', [spans('exported')]: '0+100x60', [spans('dropped')]: '0x60' },
        at: '40m',
      },
      { why: 'one batch', series: { [spans('failed')]: '0x10 5x50' }, at: '40m' },
    ],
  },
}
