/** The spans of sessions whose world the test plays: what ends how, and when. */
import { InMemorySpanExporter, BasicTracerProvider, SimpleSpanProcessor } from '@opentelemetry/sdk-trace-node'
import type { BatchSpanProcessor, ReadableSpan } from '@opentelemetry/sdk-trace-node'
import { SpanStatusCode } from '@opentelemetry/api'
import t from 'tap'
import { RelayError } from '../../src/errors.ts'
import { BoundedProcessor, CountingExporter } from '../../src/tracing/span-counting.ts'
import { SessionSpans } from '../../src/tracing/session-spans.ts'
import { NO_ROLLOVER, speak, startSession } from '../support/session-harness.ts'
import type { Harness } from '../support/session-harness.ts'
import type { SessionLimits } from '../../src/session/limits.ts'

interface Traced extends Harness {
  /** `name start-end error?`, seconds since the session began, by their end. */
  spans(): readonly string[]
  find(name: string): ReadableSpan
}

function startTraced(query = '', limits: Partial<SessionLimits> = {}): Traced {
  const exporter = new InMemorySpanExporter()
  const provider = new BasicTracerProvider({ spanProcessors: [new SimpleSpanProcessor(exporter)] })
  const tracer = provider.getTracer('test')
  const harness = startSession(query, limits, {
    createTracer: clock => ({ sessionOnStart: request => new SessionSpans(tracer, clock, request) }),
  })
  const startedMs = harness.clock.now()
  const seconds = ([whole, ns]: readonly [number, number]): string =>
    (whole - startedMs / 1000 + ns / 1e9).toFixed(1)
  return Object.assign(harness, {
    spans: () =>
      exporter
        .getFinishedSpans()
        .map(({ attributes, endTime, name, startTime, status }) =>
          [
            name,
            `${seconds(startTime)}-${seconds(endTime)}`,
            attributes['error.type'] ?? '',
            status.code === SpanStatusCode.ERROR ? 'failed' : '',
          ]
            .join(' ')
            .trim(),
        ),
    find: (name: string) => {
      const span = exporter.getFinishedSpans().find(each => each.name === name)
      if (span === undefined) throw new Error(`no span ${name}`)
      return span
    },
  })
}

t.test('a lost stream is a rollover from its loss to the next, with the dials within', async t => {
  const traced = startTraced()
  traced.opened()
  speak(traced, 1000)
  traced.dial.close(1006)
  traced.clock.advance(1000)
  traced.dial.open()
  speak(traced, 500)
  traced.session.clientOnText('{"type":"CloseStream"}')
  traced.clock.advance(300)
  traced.dial.close()
  t.strictSame(
    traced.spans().map(line => line.split(' ')[0]),
    ['dial', 'dial', 'rollover', 'flush', 'session'],
  )
  const [first, second, rollover, flush, session] = traced.spans()
  t.equal(first, 'dial 0.0-0.0')
  t.match(second, /^dial 1\.\d-2\.0$/)
  t.equal(rollover, 'rollover 1.0-2.0')
  t.equal(flush, 'flush 2.5-2.8')
  t.equal(session, 'session 0.0-2.8')
  t.match(traced.find('rollover').attributes, {
    'transcribe_relay.rollover_reason': 'upstream_closed',
    'transcribe_relay.replayed_seconds': 1,
    'transcribe_relay.planned': false,
  })
})

t.test(
  'a planned change of the stream takes as long as its dial; a pause and its end are no rollover',
  async t => {
    const planned = startTraced('', { maxStreamMs: 5000, handoverLeadMs: 0 })
    planned.opened()
    speak(planned, 5500)
    planned.clock.advance(200)
    planned.dial.open()
    t.match(planned.find('rollover').attributes, {
      'transcribe_relay.rollover_reason': 'max_duration',
      'transcribe_relay.planned': true,
    })
    const { endTime, startTime } = planned.find('rollover')
    t.ok(endTime[0] * 1e9 + endTime[1] > startTime[0] * 1e9 + startTime[1], 'not in no time')

    const paused = startTraced()
    paused.opened()
    speak(paused, 1000)
    paused.session.clientOnText('{"type":"Pause"}')
    paused.clock.advance(500)
    paused.dial.close()
    paused.clock.advance(10_000)
    speak(paused, 200)
    paused.dial.open()
    t.strictSame(
      paused.spans().map(line => line.split(' ')[0]),
      ['dial', 'flush', 'dial', 'resume'],
    )
  },
)

t.test('what failed says how: a dial, a session; what the client did is no failure of the relay', async t => {
  const unreachable = startTraced('', NO_ROLLOVER)
  unreachable.dial.fail(new RelayError('upstream_unavailable'))
  t.strictSame(unreachable.spans(), [
    'dial 0.0-0.0 upstream_unavailable failed',
    'session 0.0-0.0 upstream_unavailable failed',
  ])
  t.equal(unreachable.find('session').attributes['transcribe_relay.close_code'], 4503)

  const hungUp = startTraced()
  hungUp.session.clientOnClose({ code: 'tcp_reset', closeCode: 1006 })
  t.strictSame(hungUp.spans(), ['dial 0.0-0.0', 'session 0.0-0.0 tcp_reset'])
  t.notOk('transcribe_relay.close_code' in hungUp.find('session').attributes)

  const mute = startTraced('configure=true')
  mute.clock.advance(60_000)
  t.match(mute.spans(), [/^session 0\.0-\d+\.\d configure_timeout$/])

  const lost = startTraced('', { rolloverGapMs: 2000 })
  lost.opened()
  speak(lost, 1000)
  lost.dial.close(1006)
  lost.clock.advance(5000)
  t.match(lost.spans().at(-1), /^session .* upstream_closed failed$/)
  t.ok(lost.spans().some(line => line.startsWith('rollover 1.0-')))

  const several = startTraced('language-options=en-US,de-DE&identify-language=true')
  several.opened()
  several.session.abort('drain_deadline')
  t.equal(several.find('session').attributes['transcribe_relay.language'], 'en-US,de-DE')
})

t.test('spans that nobody takes wait up to a bound, and every one is counted', async t => {
  const counts = { exported: 0, failed: 0, dropped: 0 }
  const waiting: ((code: 0 | 1) => void)[] = []
  const failures: number[] = []
  const exporter = new CountingExporter(
    {
      export: (_, callback) => void waiting.push(code => callback({ code, error: new Error('gone') })),
      shutdown: async () => {},
    },
    counts,
    { exportOnFailure: spans => void failures.push(spans) },
  )
  const results: number[] = []
  const batches = {
    onEnd: (span: ReadableSpan) => exporter.export([span], ({ code }) => results.push(code)),
    forceFlush: async () => {},
    shutdown: () => exporter.shutdown(),
  } as unknown as BatchSpanProcessor
  const processor = new BoundedProcessor(batches, counts, 3)
  const tracer = new BasicTracerProvider({ spanProcessors: [processor] }).getTracer('test')
  const end = (): void => tracer.startSpan('x').end()
  for (let count = 0; count < 5; count += 1) end()
  t.strictSame([waiting.length, counts], [3, { exported: 0, failed: 0, dropped: 2 }])
  waiting[0]?.(0)
  waiting[1]?.(1)
  t.strictSame(counts, { exported: 1, failed: 1, dropped: 2 })
  t.strictSame(failures, [1])
  t.strictSame(results, [0, 0], 'a failure is not the business of the batches')
  for (let count = 0; count < 3; count += 1) end()
  t.strictSame([waiting.length, counts.dropped], [5, 3])
  await processor.forceFlush()
  await processor.shutdown()
})
