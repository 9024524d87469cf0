/**
 * What stands around the exporter, so that its failures cost spans and nothing else: as many spans wait as may, what is
 * above is dropped, and whatever becomes of a span is counted.
 */
import type {
  BatchSpanProcessor,
  ReadableSpan,
  SpanExporter,
  SpanProcessor,
} from '@opentelemetry/sdk-trace-node'
import { TraceFlags } from '@opentelemetry/api'

/** Of the process, since its start. */
export interface SpanCounts {
  exported: number
  /** The receiver did not take them. */
  failed: number
  /** More waited than may. */
  dropped: number
}

export interface ExportListener {
  /** `spans` are lost. */
  exportOnFailure(spans: number, error: Error | undefined): void
}

type ExportCallback = Parameters<SpanExporter['export']>[1]

/** The library's code for success; its enumeration is of a package that is not ours to import. */
const SUCCESS: Parameters<ExportCallback>[0]['code'] = 0

/** Tells the batches behind it that all is well: another try is the exporter's business, and done when it answers. */
export class CountingExporter implements SpanExporter {
  readonly #inner: SpanExporter
  readonly #counts: SpanCounts
  readonly #listener: ExportListener

  constructor(inner: SpanExporter, counts: SpanCounts, listener: ExportListener) {
    this.#inner = inner
    this.#counts = counts
    this.#listener = listener
  }

  export(spans: ReadableSpan[], callback: ExportCallback): void {
    this.#inner.export(spans, ({ code, error }) => {
      if (code === SUCCESS) {
        this.#counts.exported += spans.length
      } else {
        this.#counts.failed += spans.length
        this.#listener.exportOnFailure(spans.length, error)
      }
      callback({ code: SUCCESS })
    })
  }

  shutdown(): Promise<void> {
    return this.#inner.shutdown()
  }
}

/** In front of the batches, whose own queue is bounded but does not say what it drops. */
export class BoundedProcessor implements SpanProcessor {
  readonly #batches: BatchSpanProcessor
  readonly #counts: SpanCounts
  readonly #maxSpans: number
  #accepted = 0

  constructor(batches: BatchSpanProcessor, counts: SpanCounts, maxSpans: number) {
    this.#batches = batches
    this.#counts = counts
    this.#maxSpans = maxSpans
  }

  onStart(): void {}

  onEnd(span: ReadableSpan): void {
    if ((span.spanContext().traceFlags & TraceFlags.SAMPLED) === 0) return
    const { exported, failed } = this.#counts
    if (this.#accepted - exported - failed >= this.#maxSpans) {
      this.#counts.dropped += 1
      return
    }
    this.#accepted += 1
    this.#batches.onEnd(span)
  }

  forceFlush(): Promise<void> {
    return this.#batches.forceFlush()
  }

  shutdown(): Promise<void> {
    return this.#batches.shutdown()
  }
}
