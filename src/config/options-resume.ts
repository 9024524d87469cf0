/**
 * Options of sessions that outlive the connection of their client.
 */
import type { OptionDefinition } from './definition.ts'

export const RESUME_OPTIONS = {
  resumeSeconds: {
    theme: 'resume',
    kind: 'integer',
    unit: 'seconds',
    default: 30,
    min: 0,
    max: 300,
    doc: 'How long a session that was opened with `resume=true` waits for a client that lost its connection. It counts as a session all the while. What was said to a client is kept for as long after the end of its session. 0: no session can be resumed.',
  },
  resumeBufferBytes: {
    theme: 'resume',
    kind: 'integer',
    unit: 'bytes',
    default: 262_144,
    min: 65_536,
    max: 16_777_216,
    doc: 'Messages kept for one session that can be resumed, the oldest given up first. A client that did not see a message which was given up gets `resume_gap`. While a client is away, partial results are left out once half of it is used.',
  },
  resumeAckMs: {
    theme: 'resume',
    kind: 'integer',
    unit: 'milliseconds',
    default: 1000,
    min: 100,
    max: 10_000,
    doc: 'How often a client that can resume is told with `Ack` up to where the relay has its audio, while audio comes.',
  },
} as const satisfies Record<string, OptionDefinition>
