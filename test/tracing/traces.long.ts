/** Traces of a real relay process, as a receiver gets them. */
import { fileURLToPath } from 'node:url'
import t from 'tap'
import type { Test } from 'tap'
import { createEmulator, createScriptedEngine, loadRecordings } from '../../src/emulator/index.ts'
import type { Emulator } from '../../src/emulator/index.ts'
import { RelayClient } from '../support/relay-client.ts'
import { RELAY_KEYS, startRelayProcess, type RelayProcess } from '../support/relay-process.ts'
import { readSpeech, SPEECH_FOLDER } from '../support/speech.ts'
import type { ReceivedSpan } from '../support/trace-receiver.ts'
import { startTraceReceiver } from '../support/trace-receiver.ts'
import { NO_QUOTAS } from '../support/world.ts'

const engine = createScriptedEngine({ recordings: await loadRecordings(SPEECH_FOLDER) })
const [speech] = readSpeech()
if (speech === undefined) throw new Error('the recordings are missing')
const { pcm, words } = speech
const half = Math.floor(pcm.length / 4) * 2
const LOADED_MODULES = fileURLToPath(new URL('../support/loaded-modules.ts', import.meta.url))

const TRACE_ID = '4bf92f3577b34da6a3ce929d0e0e4736'
const SPAN_ID = '00f067aa0ba902b7'

interface Traced {
  readonly relay: RelayProcess
  readonly emulator: Emulator
}

/** `receiver`: where traces go; `null`: there are none. */
async function startTraced(
  t: Test,
  receiver: string | null,
  env: Record<string, string> = {},
): Promise<Traced> {
  const emulator = createEmulator({ ...NO_QUOTAS, engine })
  t.teardown(() => emulator.close())
  const { url: endpoint } = await emulator.start()
  const otel = receiver === null ? {} : { OTEL_EXPORTER_OTLP_ENDPOINT: receiver }
  const relay = await startRelayProcess(t, {
    env: { ...otel, ...env },
    flags: { endpoint, 'rollover-backoff-ms': 0, tracing: receiver !== null },
    preload: [LOADED_MODULES],
  })
  return { relay, emulator }
}

async function runSession(
  t: Test,
  { url }: RelayProcess,
  headers: Record<string, string> = {},
  waitsFor: string | null = null,
): Promise<string> {
  const client = await RelayClient.open(t, `${url}?language-code=en-GB`, { headers })
  client.sendCut(pcm.subarray(0, half), 3200)
  if (waitsFor !== null) await client.waitFor(waitsFor)
  client.sendCut(pcm.subarray(half), 3200)
  t.match(await client.finish(), { code: 1000 })
  t.strictSame(client.words(), words)
  return String((await client.waitFor('Begin'))['session_id'])
}

async function stop(t: Test, relay: RelayProcess): Promise<void> {
  t.equal(await relay.stop(), 0)
}

/** `session(dial rollover(dial) flush)`, children by their start. */
function treeOf(spans: readonly ReceivedSpan[], parentSpanId: string): string {
  return spans
    .filter(span => span.parentSpanId === parentSpanId)
    .toSorted((a, b) => Number(a.startNs - b.startNs))
    .map(({ name, spanId }) => {
      const children = treeOf(spans, spanId)
      return children === '' ? name : `${name}(${children})`
    })
    .join(' ')
}

function find(spans: readonly ReceivedSpan[], name: string): ReceivedSpan {
  const span = spans.find(each => each.name === name)
  if (span === undefined) throw new Error(`no span ${name}`)
  return span
}

t.test('a session with a rollover is a tree of spans in the trace of its client', async t => {
  const receiver = await startTraceReceiver(t)
  const { emulator, relay } = await startTraced(t, receiver.url, {
    OTEL_SERVICE_NAME: 'speech',
    OTEL_RESOURCE_ATTRIBUTES: 'deployment.environment.name=test',
  })
  emulator.setFaults({ rules: [{ match: { connection: 1 }, action: { do: 'reset', atSeconds: 0.5 } }] })
  const sessionId = await runSession(t, relay, { traceparent: `00-${TRACE_ID}-${SPAN_ID}-01` }, 'Rollover')
  await stop(t, relay)

  t.strictSame(new Set(receiver.paths), new Set(['POST /v1/traces application/x-protobuf']))
  const { spans } = receiver
  t.equal(treeOf(spans, SPAN_ID), 'session(dial rollover(dial) flush)')
  t.strictSame(new Set(spans.map(({ traceId }) => traceId)), new Set([TRACE_ID]))
  const session = find(spans, 'session')
  t.match(session, {
    kind: 2,
    status: 0,
    attributes: {
      'session.id': sessionId,
      'cloud.region': 'us-east-1',
      'aws.request_id': String,
      'transcribe_relay.language': 'en-GB',
      'transcribe_relay.reason': 'normal',
      'transcribe_relay.close_code': 1000,
      'transcribe_relay.streams': 2,
      'transcribe_relay.rollovers': 1,
    },
    resource: {
      'service.name': 'speech',
      'service.version': /^\d+\.\d+\.\d+$/,
      'service.instance.id': String,
      'deployment.environment.name': 'test',
    },
  })
  t.equal(session.attributes['transcribe_relay.audio_seconds'], pcm.length / 32_000)
  t.ok(Number(session.attributes['transcribe_relay.frames']) > 10)
  t.match(find(spans, 'rollover').attributes, {
    'transcribe_relay.rollover_reason': 'upstream_closed',
    'transcribe_relay.lost_seconds': 0,
    'transcribe_relay.planned': false,
  })
  t.match(find(spans, 'dial'), {
    kind: 3,
    attributes: { 'cloud.region': 'us-east-1', 'transcribe_relay.attempts': 1 },
  })
  for (const { endNs, name, startNs } of spans)
    t.ok(
      session.startNs <= startNs && startNs <= endNs && endNs <= session.endNs,
      `${name} is within the session`,
    )

  const all = Buffer.concat([...receiver.bodies]).toString('latin1')
  for (const secret of [
    ...words.filter(word => word.length > 4),
    'X-Amz',
    RELAY_KEYS.AWS_SECRET_ACCESS_KEY,
    '127.0.0.1',
  ])
    t.notOk(all.includes(secret), `${secret} is in no span`)
})

t.test('a trace that the client does not record, and a header that is none, are what they are', async t => {
  const receiver = await startTraceReceiver(t)
  const { relay } = await startTraced(t, receiver.url)
  await runSession(t, relay, { traceparent: `00-${TRACE_ID}-${SPAN_ID}-00` })
  const sessionId = await runSession(t, relay, { traceparent: `00-${TRACE_ID.toUpperCase()}-${SPAN_ID}-01` })
  await stop(t, relay)
  t.equal(treeOf(receiver.spans, ''), 'session(dial flush)', 'a trace of its own')
  t.equal(find(receiver.spans, 'session').attributes['session.id'], sessionId)
})

t.test('a receiver that refuses, or is not there, costs spans and nothing else', async t => {
  const receiver = await startTraceReceiver(t, 400)
  const gone = 'http://127.0.0.1:1'
  for (const url of [receiver.url, gone]) {
    const { relay } = await startTraced(t, url, {
      OTEL_BSP_SCHEDULE_DELAY: '1',
      OTEL_EXPORTER_OTLP_TIMEOUT: '100',
    })
    await runSession(t, relay)
    await relay.waitFor(/"message":"traces not exported"/)
    const metrics = await relay.scrape()
    t.ok((metrics.get('trace_spans_total{outcome="failed"}') ?? 0) >= 1, url)
    t.equal(metrics.get('trace_spans_total{outcome="exported"}'), 0)
    t.match(relay.lines('traces not exported')[0], { level: 'warn', spans: Number, error: { name: String } })
    await stop(t, relay)
  }
})

t.test('a receiver that never answers holds the end of the process for a bounded time', async t => {
  const receiver = await startTraceReceiver(t, null)
  const hasty = await startTraced(t, receiver.url, { OTEL_BSP_EXPORT_TIMEOUT: '10' })
  await runSession(t, hasty.relay)
  await stop(t, hasty.relay)
  t.match(hasty.relay.lines('traces not exported'), [{ level: 'warn', error: { message: 'Timeout' } }])

  const { relay } = await startTraced(t, receiver.url)
  await runSession(t, relay)
  const startMs = performance.now()
  await stop(t, relay)
  const tookMs = performance.now() - startMs
  t.equal(receiver.bodies.length, 2, 'it was asked')
  t.ok(tookMs >= 1000 && tookMs < 8000, `${Math.round(tookMs)} ms`)
})

t.test('without traces nothing of OpenTelemetry is loaded', async t => {
  const receiver = await startTraceReceiver(t)
  for (const [url, env, isLoaded] of [
    [null, { OTEL_EXPORTER_OTLP_ENDPOINT: receiver.url }, false],
    [receiver.url, { OTEL_SDK_DISABLED: 'TRUE' }, false],
    [receiver.url, { OTEL_BSP_MAX_QUEUE_SIZE: '100' }, true],
  ] as const) {
    const { relay } = await startTraced(t, url, env)
    await runSession(t, relay)
    relay.child.kill('SIGHUP')
    const [, loaded = ''] = await relay.waitFor(/^loaded (.*)$/m)
    t.match(loaded, '"pino"', 'it is told what is loaded')
    // The metrics library asks for the bare interface, whether there are traces or not.
    const names = (loaded.match(/@opentelemetry\/[\w-]+/g) ?? []).filter(
      name => name !== '@opentelemetry/api',
    )
    t.equal(names.length > 0, isLoaded, `${JSON.stringify(env)}: ${names.join(' ')}`)
    await stop(t, relay)
  }
  t.equal(receiver.spans.filter(({ name }) => name === 'session').length, 1)
})
