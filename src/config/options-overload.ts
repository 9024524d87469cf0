/**
 * Options of refusing new sessions while the process is too busy for those that it has. Each load has a level at which
 * it refuses and a lower one at which it stops to.
 */
import type { OptionDefinition } from './definition.ts'

export const OVERLOAD_OPTIONS = {
  overloadLagMs: {
    theme: 'overload',
    kind: 'integer',
    unit: 'milliseconds',
    default: 500,
    min: 20,
    max: 60_000,
    doc: 'Lateness of the event loop, smoothed over about half a second, from which new sessions get `overloaded`. Those that run go on.',
  },
  overloadLagRecoveryMs: {
    theme: 'overload',
    kind: 'integer',
    unit: 'milliseconds',
    default: 200,
    min: 5,
    max: 60_000,
    doc: 'Lateness below which new sessions are let in again.',
  },
  memoryLimitBytes: {
    theme: 'overload',
    kind: 'integer',
    unit: 'bytes',
    default: 0,
    min: 0,
    max: 1_099_511_627_776,
    doc: 'Memory that the relay may use, of all its processes together. 0: the limit of the control group (container), or the memory of the machine where there is none.',
  },
  overloadMemoryRatio: {
    theme: 'overload',
    kind: 'number',
    unit: 'of the memory',
    default: 0.85,
    min: 0.1,
    max: 1,
    doc: 'Part of `memoryLimitBytes` that the process has resident, from which new sessions get `overloaded`. With several `workers` each has its share of the limit.',
  },
  overloadMemoryRecoveryRatio: {
    theme: 'overload',
    kind: 'number',
    unit: 'of the memory',
    default: 0.8,
    min: 0.05,
    max: 1,
    doc: 'Part of the memory below which new sessions are let in again.',
  },
  overloadFilesRatio: {
    theme: 'overload',
    kind: 'number',
    unit: 'of the limit of open files',
    default: 0.9,
    min: 0.1,
    max: 1,
    doc: 'Open files, sockets included, from which new sessions get `overloaded`. Looked at once a second, on Linux.',
  },
  overloadFilesRecoveryRatio: {
    theme: 'overload',
    kind: 'number',
    unit: 'of the limit of open files',
    default: 0.85,
    min: 0.05,
    max: 1,
    doc: 'Open files below which new sessions are let in again.',
  },
} as const satisfies Record<string, OptionDefinition>
