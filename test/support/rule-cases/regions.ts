/** Cases of the alerts on regions, their quotas and Redis. */
import type { AlertCases } from './series.ts'
import { always } from './series.ts'

const SPILLS = 'transcribe_relay_region_spills_total'
const STREAMS = 'transcribe_relay_region_streams'
const LIMIT_OF_STREAMS = 'transcribe_relay_region_streams_limit'
const EAST = 'region="us-east-1"'

function spills(reason: string, perMinute: number): Readonly<Record<string, string>> {
  return { [`${SPILLS}{${EAST},reason="${reason}",instance="a"}`]: `0+${perMinute}x40` }
}

export const REGION_CASES: Readonly<Record<string, AlertCases>> = {
  TranscribeRelayRegionLeftAlone: {
    fires: [
      {
        series: spills('breaker', 60),
        at: '20m',
        labels: { region: 'us-east-1' },
        description:
          '1.0 streams a second of relay go elsewhere or wait, because us-east-1 does not let anybody connect.',
      },
    ],
    quiet: [
      { why: 'a moment', series: spills('breaker', 1), at: '20m' },
      { why: 'it is full, not away', series: spills('quota', 60), at: '20m' },
    ],
  },
  TranscribeRelayRegionNearlyFull: {
    fires: [
      {
        series: {
          [`${STREAMS}{${EAST},instance="a"}`]: '24x40',
          [`${LIMIT_OF_STREAMS}{${EAST},instance="a"}`]: '25x40',
        },
        at: '20m',
        labels: { region: 'us-east-1' },
        description: '96% of the streams that relay may have in us-east-1 are open.',
      },
    ],
    quiet: [
      {
        why: 'there is room',
        series: {
          [`${STREAMS}{${EAST},instance="a"}`]: '20x40',
          [`${LIMIT_OF_STREAMS}{${EAST},instance="a"}`]: '25x40',
        },
        at: '20m',
      },
      {
        why: 'it is not counted',
        series: {
          [`${STREAMS}{${EAST},instance="a"}`]: '20x40',
          [`${LIMIT_OF_STREAMS}{${EAST},instance="a"}`]: '0x40',
        },
        at: '20m',
      },
    ],
  },
  TranscribeRelayStartsRefused: {
    fires: [
      {
        series: { 'transcribe_relay_start_queue_refused_total{reason="timeout",instance="a"}': '0+60x40' },
        at: '20m',
        labels: {},
        description: '1.0 sessions a second of relay waited for a stream in vain.',
      },
    ],
    quiet: [
      {
        why: 'hardly ever',
        series: { 'transcribe_relay_start_queue_refused_total{reason="timeout",instance="a"}': '0+1x40' },
        at: '20m',
      },
    ],
  },
  TranscribeRelayRedisFailing: {
    fires: [
      {
        series: { 'transcribe_relay_redis_failures_total{operation="acquire",instance="a"}': '0+60x40' },
        at: '20m',
        labels: {},
        description:
          'Redis does not answer relay: quotas are counted by each relay alone, or nothing is started.',
      },
      {
        series: { 'transcribe_relay_redis_connected{instance="a"}': '1x5 0x30' },
        at: '20m',
        labels: {},
        description:
          'Redis does not answer relay: quotas are counted by each relay alone, or nothing is started.',
      },
    ],
    quiet: [
      {
        why: 'there is none',
        series: { 'transcribe_relay_redis_connected{instance="a"}': always('NaN') },
        at: '20m',
      },
      {
        why: 'it answers',
        series: {
          'transcribe_relay_redis_connected{instance="a"}': '1x40',
          'transcribe_relay_redis_failures_total{operation="acquire",instance="a"}': '0+1x40',
        },
        at: '20m',
      },
    ],
  },
}
