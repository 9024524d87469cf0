/**
 * Options of the Redis in which several relays keep what they have to know together.
 */
import type { OptionDefinition } from './definition.ts'

export const REDIS_OPTIONS = {
  redisUrl: {
    theme: 'redis',
    kind: 'url',
    default: null,
    schemes: ['redis', 'rediss'],
    mayHavePath: true,
    mayHaveUser: true,
    secret: true,
    doc: 'Redis (6.2 or later, or what speaks like it) in which relays count the streams of the AWS account together, keep which regions are drained and remember used client tokens: `redis://user:password@host:6379/0`, `rediss` with TLS. Not set: each relay counts alone, see `quotaShares`.',
  },
  redisPrefix: {
    theme: 'redis',
    kind: 'string',
    default: 'transcribe-relay:',
    pattern: /^[\w:.-]{1,64}$/,
    shape: '1 to 64 letters, digits and :._-',
    doc: 'What the keys in Redis begin with. Relays of one AWS account have to have the same, those of different accounts different ones.',
  },
  redisLeaseMs: {
    theme: 'redis',
    kind: 'integer',
    unit: 'milliseconds',
    default: 10_000,
    min: 1000,
    max: 300_000,
    doc: 'How long a stream counts after its relay was last heard of; relays tell three times as often. The streams of a relay that was killed are free again after it.',
  },
  redisTimeoutMs: {
    theme: 'redis',
    kind: 'integer',
    unit: 'milliseconds',
    default: 500,
    min: 20,
    max: 10_000,
    doc: 'Time for one answer of Redis.',
  },
  redisFailure: {
    theme: 'redis',
    kind: 'enum',
    default: 'open',
    values: ['open', 'closed'],
    doc: 'What happens while Redis does not answer. `open`: streams are started, each relay counting alone by its part of the quotas (`quotaShares`). `closed`: no stream is started, so the quota is never passed. Client tokens for one use are never taken then.',
  },
} as const satisfies Record<string, OptionDefinition>
