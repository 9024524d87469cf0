/**
 * Options of moving a session from one stream to the next: after a failure, before the end of a stream's life, and in
 * silence.
 *
 * What comes from Amazon Transcribe: a stream lasts 4 hours at most, and one result covers about 30 seconds at most.
 */
import type { OptionDefinition } from './definition.ts'

export const ROLLOVER_OPTIONS = {
  replaySeconds: {
    theme: 'rollover',
    kind: 'number',
    unit: 'seconds',
    default: 30,
    min: 1,
    max: 300,
    doc: 'Audio kept after it was sent, until a final result covers it, to be sent again to the next stream. What falls out before that is lost when a stream ends, and said so. At most 0.96 MB a session at 16 kHz mono.',
  },
  replayRate: {
    theme: 'rollover',
    kind: 'number',
    unit: 'times real time',
    default: 4,
    min: 1.5,
    max: 1000,
    doc: 'How fast audio is sent again. `paceRate` counts if it is higher: a session could never catch up otherwise.',
  },
  rolloverAttempts: {
    theme: 'rollover',
    kind: 'integer',
    unit: 'failures in a row',
    default: 10,
    min: 0,
    max: 100,
    doc: 'Streams and dials that may fail one after the other before the session ends with the error. A stream that lived for 10 seconds begins a new row. 0: a session ends with its stream.',
  },
  rolloverBackoffMs: {
    theme: 'rollover',
    kind: 'integer',
    unit: 'milliseconds',
    default: 250,
    min: 0,
    max: 10_000,
    doc: 'Longest wait before another stream is dialled; doubled with each failure in a row, with jitter, up to 10 seconds.',
  },
  rolloverGapMs: {
    theme: 'rollover',
    kind: 'integer',
    unit: 'milliseconds',
    default: 30_000,
    min: 100,
    max: 600_000,
    doc: 'Longest time without a stream, audio waiting. Past it the session ends with the error that the stream ended with.',
  },
  maxStreamMs: {
    theme: 'rollover',
    kind: 'integer',
    unit: 'milliseconds',
    default: 14_100_000,
    min: 1000,
    max: 14_400_000,
    doc: 'Age at which a stream is replaced, at the latest. Amazon Transcribe ends a stream after 4 hours; the default is 5 minutes less. Compressed audio cannot go on in another stream: its session ends with `session_expired`.',
  },
  handoverLeadMs: {
    theme: 'rollover',
    kind: 'integer',
    unit: 'milliseconds',
    default: 60_000,
    min: 0,
    max: 3_600_000,
    doc: 'How long before `maxStreamMs` a moment is looked for at which nobody speaks, to replace the stream then. Before the end of the credentials of a stream it is twice as long.',
  },
} as const satisfies Record<string, OptionDefinition>
