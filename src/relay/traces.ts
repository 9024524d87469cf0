/**
 * The part of the wiring that decides whether there are traces. Without them not one module of OpenTelemetry is loaded.
 */
import type { Clock } from '../clock.ts'
import type { RelayOptions } from '../config/options.ts'
import type { Logger } from '../log.ts'
import { createTraceLog } from '../log.ts'
import type { Tracing } from '../tracing/tracing.ts'
import { VERSION } from '../version.ts'

/** Ours: the last spans do not hold the process longer, also when it is forced to end. */
export const TRACE_FLUSH_MS = 1500

const DEFAULT_QUEUED_SPANS = 2048
const MAX_QUEUED_SPANS = 65_536

export interface TraceDependencies {
  readonly clock: Clock
  readonly logger: Logger
  readonly env: Readonly<Record<string, string | undefined>>
}

/** `null`: `tracing` is off, or `OTEL_SDK_DISABLED` says so. */
export async function loadTracing(
  { tracing }: RelayOptions,
  { clock, env, logger }: TraceDependencies,
): Promise<Tracing | null> {
  if (!tracing || env['OTEL_SDK_DISABLED']?.toLowerCase() === 'true') return null
  const { createTracing } = await import('../tracing/tracing.ts')
  return createTracing({
    clock,
    version: VERSION,
    listener: createTraceLog(logger, clock),
    maxQueuedSpans: queuedSpans(env['OTEL_BSP_MAX_QUEUE_SIZE']),
  })
}

/** What is no number counts as not given, as the specification of these variables wants. */
function queuedSpans(text = ''): number {
  const value = /^\d{1,9}$/.test(text) ? Number(text) : 0
  return value === 0 ? DEFAULT_QUEUED_SPANS : Math.min(value, MAX_QUEUED_SPANS)
}
