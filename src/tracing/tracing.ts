/**
 * Traces by OpenTelemetry: provider, batches, exporter (OTLP over HTTP, protobuf). Nothing is registered globally, so a
 * program that embeds the relay and traces by itself is left alone.
 *
 * This file brings the libraries in; `relay/traces.ts` loads it, and only when traces are wanted. The `OTEL_*` variables
 * are read by the libraries themselves, but for the length of the queue, which is bounded here.
 */
import { OTLPTraceExporter } from '@opentelemetry/exporter-trace-otlp-proto'
import {
  defaultResource,
  detectResources,
  envDetector,
  resourceFromAttributes,
  serviceInstanceIdDetector,
} from '@opentelemetry/resources'
import { BasicTracerProvider, BatchSpanProcessor } from '@opentelemetry/sdk-trace-node'
import type { Clock } from '../clock.ts'
import type { SessionTracer } from '../session/ports.ts'
import { SessionSpans } from './session-spans.ts'
import type { ExportListener, SpanCounts } from './span-counting.ts'
import { BoundedProcessor, CountingExporter } from './span-counting.ts'

export interface TracingOptions {
  readonly clock: Clock
  readonly version: string
  readonly listener: ExportListener
  /** Most spans that wait for the receiver. */
  readonly maxQueuedSpans: number
}

export interface Tracing {
  readonly tracer: SessionTracer
  readonly counts: Readonly<SpanCounts>
  /** Sends what waits. Resolves when that is done, at the latest after `timeoutMs`. Never rejects. */
  close(timeoutMs: number): Promise<void>
}

const SERVICE = 'transcribe-relay'

export function createTracing({ clock, listener, maxQueuedSpans, version }: TracingOptions): Tracing {
  const counts: SpanCounts = { exported: 0, failed: 0, dropped: 0 }
  const exporter = new CountingExporter(new OTLPTraceExporter(), counts, listener)
  const batches = new BatchSpanProcessor(exporter, { maxQueueSize: maxQueuedSpans })
  const own = resourceFromAttributes({ 'service.name': SERVICE, 'service.version': version })
  // What the environment says wins.
  const found = detectResources({ detectors: [serviceInstanceIdDetector, envDetector] })
  const provider = new BasicTracerProvider({
    resource: defaultResource().merge(own).merge(found),
    spanProcessors: [new BoundedProcessor(batches, counts, maxQueuedSpans)],
  })
  const tracer = provider.getTracer(SERVICE, version)
  return {
    tracer: { sessionOnStart: request => new SessionSpans(tracer, clock, request) },
    counts,
    close: timeoutMs =>
      new Promise(resolve => {
        const timer = clock.setTimer(timeoutMs, resolve)
        const end = (): void => {
          timer.cancel()
          resolve()
        }
        provider.shutdown().then(end, (error: unknown) => {
          listener.exportOnFailure(0, error instanceof Error ? error : undefined)
          end()
        })
      }),
  }
}
