/**
 * Amazon Transcribe fails in the middle of a stream, and no other is to be had: the client learns what it was and whether to come back, the
 * figures and the log say the same, everything is closed, and the session next to it goes on.
 */
import t, { type Test } from 'tap'
import { createScriptedEngine, loadRecordings, type FaultAction } from '../../src/emulator/index.ts'
import { watchFault, withNeighbour, type ExpectedEnd } from '../support/fault-watch.ts'
import type { RelayClient } from '../support/relay-client.ts'
import { noise, readSpeech, sha256, SPEECH_FOLDER } from '../support/speech.ts'
import { startWorld, type World } from '../support/world.ts'

/** What another stream cures is in rollover.test.ts. */
const NO_ROLLOVER = { rolloverAttempts: 0 } as const
const CHUNK_BYTES = 3200
/** Position of the faults in the audio, and the audio around it. */
const AT = { atSeconds: 1 } as const
const pcm = noise(2, 3)
const CONNECTED = 'upstream_connects_total{outcome="ok",reason="none"}'

interface Row {
  readonly name: string
  readonly fault: FaultAction
  readonly expected: ExpectedEnd
}

function exception(name: string, code: ExpectedEnd['code'], label: string = name, message?: string): Row {
  return {
    name: `exception ${name}${message === undefined ? '' : ` (${message.slice(0, 30)}…)`}`,
    fault: { do: 'exception', name, closeCode: 1000, ...AT, ...(message === undefined ? {} : { message }) },
    expected: {
      code,
      detail: name,
      figures: { [`upstream_exceptions_total{exception="${label}"}`]: 1 },
    },
  }
}

function broken(fault: FaultAction, detail: string | RegExp, decodeError?: string): Row {
  const figures: Record<string, number> =
    decodeError === undefined ? {} : { [`eventstream_decode_errors_total{reason="${decodeError}"}`]: 1 }
  return { name: fault.do, fault, expected: { code: 'upstream_protocol', detail, figures } }
}

function ended(fault: FaultAction, detail: string | RegExp): Row {
  const name = fault.do === 'close' ? `close ${fault.code}` : fault.do
  return { name, fault, expected: { code: 'upstream_closed', detail } }
}

const ROWS: Readonly<Record<string, readonly Row[]>> = {
  'UP-09 a request that the service does not like': [
    exception('BadRequestException', 'upstream_bad_request'),
    exception(
      'BadRequestException',
      'audio_timeout',
      'BadRequestException',
      'Your request timed out because no new audio was received for 15 seconds.',
    ),
    exception(
      'BadRequestException',
      'upstream_error',
      'BadRequestException',
      'Your stream is too big. Reduce the frame size and try your request again.',
    ),
  ],
  'UP-10 exceptions': [
    exception('LimitExceededException', 'upstream_throttled'),
    exception('InternalFailureException', 'upstream_error'),
    exception('ConflictException', 'session_conflict'),
    exception('ServiceUnavailableException', 'upstream_unavailable'),
    exception('UnheardOfException', 'upstream_error', 'other', 'secret-text-of-the-service'),
    {
      name: 'a message of type error',
      fault: { do: 'errorMessage', code: 'InternalError', message: 'secret-text-of-the-service', ...AT },
      expected: {
        code: 'upstream_error',
        detail: 'InternalError',
        figures: { 'upstream_exceptions_total{exception="other"}': 1 },
      },
    },
  ],
  'UP-11 the connection ends': [
    // Where the reset overtakes what is under way, the end of the stream is all that is seen.
    ended({ do: 'reset', ...AT }, /ECONNRESET|EPIPE|ended without a Close frame/),
    ended({ do: 'fin', ...AT }, 'ended without a Close frame'),
    ended({ do: 'close', code: 1000, reason: 'done', ...AT }, 'close 1000 done'),
    ended({ do: 'close', code: 1011, reason: '', ...AT }, 'close 1011'),
    ended({ do: 'close', code: 1009, reason: '', ...AT }, 'close 1009'),
  ],
  'UP-16 bytes that are no event stream': [
    broken({ do: 'garbage', bytes: 64, ...AT }, 'too_big', 'too_big'),
    broken({ do: 'garbage', bytes: 3, ...AT }, 'truncated', 'truncated'),
    broken({ do: 'truncatedMessage', ...AT }, 'truncated', 'truncated'),
    broken({ do: 'badPreludeCrc', ...AT }, 'bad_prelude_crc', 'bad_prelude_crc'),
    broken({ do: 'badMessageCrc', ...AT }, 'bad_message_crc', 'bad_message_crc'),
    broken({ do: 'unknownMessageType', ...AT }, 'message-type'),
  ],
  'UP-17 frames that are too much': [
    broken({ do: 'oversizeFrame', bytes: 20 * 1024 * 1024, ...AT }, /WS_ERR_UNSUPPORTED_MESSAGE_LENGTH/),
    broken({ do: 'fragments', count: 100_000, ...AT }, /WS_ERR_/),
    broken({ do: 'textFrame', text: '{}', ...AT }, 'a text message'),
    broken({ do: 'compressedFrame', ...AT }, 'WS_ERR_UNEXPECTED_RSV_1'),
  ],
}

async function strike(world: World, fault: FaultAction): Promise<RelayClient> {
  const connection = world.faultNext(fault)
  const victim = await world.connect()
  victim.sendCut(pcm, CHUNK_BYTES)
  await victim.closed
  await world.endOf(connection)
  return victim
}

for (const [title, rows] of Object.entries(ROWS)) {
  t.test(title, async t => {
    const world = await startWorld(t, { relay: NO_ROLLOVER })
    for (const { name, fault, expected } of rows) {
      await t.test(name, async t => {
        await withNeighbour(t, world, () =>
          watchFault(t, world, () => strike(world, fault), {
            ...expected,
            figures: { [CONNECTED]: 1, ...expected.figures },
          }),
        )
      })
    }
    t.notMatch(world.log.texts.join(''), 'secret-text-of-the-service')
  })
}

t.test('the session goes on after an event of a type that nobody knows', async t => {
  const world = await startWorld(t, { relay: NO_ROLLOVER })
  const connection = world.faultNext({ do: 'unknownEventType', ...AT })
  await watchFault(t, world, () => streamWhole(t, world, connection), {
    code: 'normal',
    figures: { [CONNECTED]: 1, upstream_unknown_events_total: 1 },
  })
})

t.test('UP-11 finals that came before the end are delivered before the error', async t => {
  const engine = createScriptedEngine({ recordings: await loadRecordings(SPEECH_FOLDER) })
  const world = await startWorld(t, { emulator: { engine }, relay: NO_ROLLOVER })
  const [speech] = readSpeech()
  if (speech === undefined) throw new Error('the recordings are missing')
  const pause = Buffer.alloc(64_000)
  const atSeconds = (speech.pcm.length + pause.length) / 32_000
  for (const fault of [
    { do: 'close', code: 1011, reason: '', atSeconds },
    { do: 'fin', atSeconds },
    { do: 'exception', name: 'InternalFailureException', closeCode: 1000, atSeconds },
  ] as const) {
    world.faultNext(fault)
    const client = await world.connect()
    client.sendCut(Buffer.concat([speech.pcm, pause, speech.pcm]), CHUNK_BYTES)
    t.match(await client.closed, { code: 4502 })
    t.strictSame(client.words(), speech.words, fault.do)
    t.equal(client.messages.at(-1)?.type, 'Error')
  }
})

t.test('UP-13 a service that stops reading is given up, with bounded memory', async t => {
  const world = await startWorld(t, {
    relay: { ...NO_ROLLOVER, upstreamStallMs: 500, upstreamBufferBytes: 262_144, pendingAudioBytes: 131_072 },
  })
  const rssBytes = process.memoryUsage().rss
  let maxBufferedBytes = 0
  await withNeighbour(t, world, () =>
    watchFault(
      t,
      world,
      async () => {
        world.faultNext({ do: 'stopReading', atSeconds: 0 })
        const victim = await world.connect()
        await victim.waitFor('Begin')
        const flood = Buffer.alloc(64_000, 1)
        while (victim.webSocket.readyState === victim.webSocket.OPEN) {
          await new Promise<void>(resolve => victim.webSocket.send(flood, () => setImmediate(resolve)))
          const values = await world.scrape()
          maxBufferedBytes = Math.max(maxBufferedBytes, values.get('upstream_buffered_bytes{agg="max"}') ?? 0)
        }
        return victim
      },
      // The service that does not read does not see the end either, and keeps its socket.
      { code: 'upstream_stalled', figures: { [CONNECTED]: 1 }, keptSockets: 1 },
    ),
  )
  t.comment(`at most ${maxBufferedBytes} bytes buffered`)
  // What arrives within one tick comes on top of the limit.
  t.ok(maxBufferedBytes > 0 && maxBufferedBytes < 4 * 1024 * 1024, 'buffered bytes are bounded')
  t.ok(process.memoryUsage().rss - rssBytes < 96 * 1024 * 1024, 'memory is bounded')
})

t.test('UP-14 a service that says nothing is no error before the audio ends', async t => {
  const world = await startWorld(t, { relay: { ...NO_ROLLOVER, flushTimeoutMs: 300 } })
  await withNeighbour(t, world, () =>
    watchFault(
      t,
      world,
      async () => {
        world.faultNext({ do: 'mute', atSeconds: 0 })
        const victim = await world.connect()
        victim.sendCut(pcm.subarray(0, 16_000), CHUNK_BYTES)
        await victim.waitFor('Begin')
        await victim.finish()
        return victim
      },
      { code: 'flush_timeout', figures: { [CONNECTED]: 1 } },
    ),
  )
})

async function streamWhole(t: Test, world: World, connection: number): Promise<RelayClient> {
  const client = await world.connect()
  client.sendCut(pcm, CHUNK_BYTES)
  await client.finish()
  const { sha256: heard } = await world.endOf(connection)
  t.equal(heard, sha256(pcm))
  return client
}
