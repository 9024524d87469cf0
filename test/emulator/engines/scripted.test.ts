/** The scripted engine: what it says, when, and that only the audio decides. */
import { createHash } from 'node:crypto'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import {
  createScriptedEngine,
  loadRecordings,
  type Recording,
  type ScriptedOptions,
  type WireResult,
} from '../../../src/emulator/index.ts'
import { createRecording } from '../../../src/emulator/recordings.ts'
import { validateParameters, type StreamParameters } from '../../../src/transcribe/parameters.ts'
import { createRandom } from '../../support/random.ts'

const AUDIO_FOLDER = 'examples/audio'
const PCM = { 'language-code': 'en-US', 'media-encoding': 'pcm', 'sample-rate': '16000' }
const recordings = await loadRecordings(AUDIO_FOLDER)

function parametersOf(more: Record<string, string> = {}): StreamParameters {
  const validation = validateParameters({ ...PCM, ...more })
  if (!validation.ok) throw new Error(JSON.stringify(validation.problems))
  return validation.parameters
}

interface Heard {
  readonly events: readonly (readonly WireResult[])[]
  readonly results: readonly WireResult[]
  readonly finals: readonly WireResult[]
  readonly text: string
}

/** Sends `audio` in chunks of the given sizes, one after the other, and ends. */
function hear(
  audio: Buffer,
  options: ScriptedOptions = {},
  parameters = parametersOf(),
  chunkBytes: () => number = () => 3200,
): Heard {
  const events: (readonly WireResult[])[] = []
  let endCount = 0
  const engine = createScriptedEngine(options).open(
    { parameters, streamId: 'stream' },
    {
      engineOnResults: results => events.push(results),
      engineOnEnd: () => endCount++,
      engineOnFailure: ({ message }) => t.fail(message),
    },
  )
  for (let offset = 0; offset < audio.length;) {
    const bytes = chunkBytes()
    engine.write(audio.subarray(offset, offset + bytes))
    offset += bytes
  }
  engine.end()
  engine.close()
  if (endCount !== 1) throw new Error(`engineOnEnd was called ${endCount} times`)
  const results = events.flat()
  const finals = results.filter(({ IsPartial }) => !IsPartial)
  return { events, results, finals, text: finals.map(textOf).join(' ') }
}

function textOf(result: WireResult): string {
  return result.Alternatives[0]?.Transcript ?? ''
}

function itemsOf(result: WireResult | undefined) {
  return result?.Alternatives[0]?.Items ?? []
}

function pcmOf({ samples }: Recording): Buffer {
  return Buffer.from(samples.buffer, samples.byteOffset, samples.byteLength)
}

function wordsOf({ words }: Recording): string {
  return words.map(({ content }) => content).join(' ')
}

/** A tone with half the range, which no one takes for silence. */
function tone(seconds: number, sampleRateHz = 16_000): Buffer {
  const samples = Int16Array.from({ length: Math.round(seconds * sampleRateHz) }, (_, index) =>
    Math.round(16_384 * Math.sin((2 * Math.PI * 440 * index) / sampleRateHz)),
  )
  return Buffer.from(samples.buffer)
}

function sha256(bytes: Buffer): string {
  return createHash('sha256').update(bytes).digest('hex')
}

function silence(seconds: number, sampleRateHz = 16_000): Buffer {
  return Buffer.alloc(2 * Math.round(seconds * sampleRateHz))
}

t.test('every sample recording gives exactly its words, partials first, on one rising time line', async t => {
  t.equal(recordings.length, 5)
  for (const recording of recordings) {
    const audio = pcmOf(recording)
    const { results, finals, text } = hear(audio, { recordings })
    t.equal(text, wordsOf(recording), recording.name)
    const lastFinal = results.indexOf(finals.at(-1) as WireResult)
    t.ok(results.slice(0, lastFinal).some(({ IsPartial }) => IsPartial))
    const items = finals.flatMap(itemsOf)
    let time = 0
    for (const { StartTime, EndTime, Confidence } of items) {
      t.ok(StartTime >= time && EndTime >= StartTime && EndTime <= audio.length / 32_000)
      t.ok(Confidence !== undefined && Confidence >= 0.9 && Confidence < 1)
      time = EndTime
    }
    for (const result of results) {
      t.ok(result.StartTime <= (itemsOf(result)[0]?.StartTime ?? 0))
      t.ok(result.EndTime >= (itemsOf(result).at(-1)?.EndTime ?? 0))
      const final = finals.find(({ ResultId }) => ResultId === result.ResultId)
      t.ok(final && textOf(final).startsWith(textOf(result)), 'a partial is the beginning of its final')
      if (result.IsPartial) t.ok(itemsOf(result).every(item => item.Confidence === undefined))
    }
  }
})

t.test('all recordings in one stream, with pauses: a final for each, in order', async t => {
  const audio = Buffer.concat(recordings.flatMap(recording => [pcmOf(recording), silence(1.5)]))
  const { finals, events } = hear(audio, { recordings })
  t.strictSame(finals.map(textOf), recordings.map(wordsOf))
  t.equal(new Set(finals.map(({ ResultId }) => ResultId)).size, 5)
  t.ok(
    events.some(results => results.length === 0),
    'silence gives events without results',
  )
})

t.test('only the audio decides: any cut of it gives the same results', async t => {
  const seed = Date.now() % 0xffff_ffff
  t.comment(`seed ${seed}`)
  const random = createRandom(seed)
  const [first, second] = recordings as [Recording, Recording]
  const audio = Buffer.concat([pcmOf(first), silence(1), tone(1.3), silence(0.7), pcmOf(second)])
  for (const options of [{ recordings }, { texts: [{ text: 'one two three four' }] }, {}]) {
    const expected = hear(audio, options)
    const cut = hear(audio, options, parametersOf(), () => 2 * (1 + Math.floor(random() * 4000)))
    t.strictSame(cut.events, expected.events)
  }
})

t.test('a recording cut anywhere and sent in two streams loses no word and says none twice', async t => {
  const [recording] = recordings as [Recording]
  const audio = pcmOf(recording)
  for (let cut = 1000; cut < audio.length - 1000; cut += 7774) {
    const halves = [hear(audio.subarray(0, cut), { recordings }), hear(audio.subarray(cut), { recordings })]
    const words = halves.flatMap(({ finals }) => finals.flatMap(itemsOf)).map(({ Content }) => Content)
    // Within the 21 ms that it takes to find the place, a middle may go unheard; never more than that one word.
    t.ok(recording.words.length - words.length <= 1, `cut at ${cut}: ${words.length} words`)
    t.strictSame(words, recording.words.map(({ content }) => content).filter(inOrderIn(words)))
  }
})

/** Keeps what `words` has, in order. */
function inOrderIn(words: readonly string[]): (word: string) => boolean {
  let next = 0
  return word => word === words[next] && next++ >= 0
}

t.test('a replay from the end of a final goes on with the very next word', async t => {
  const [recording] = recordings as [Recording]
  const audio = pcmOf(recording)
  for (const [index, { endSeconds }] of recording.words.entries()) {
    const from = 2 * Math.round(endSeconds * 16_000)
    const rest = recording.words.slice(index + 1).map(({ content }) => content)
    t.equal(
      hear(audio.subarray(from), { recordings })
        .finals.flatMap(itemsOf)
        .map(({ Content }) => Content)
        .join(' '),
      rest.join(' '),
    )
  }
})

t.test('foreign audio within a recording interrupts it, and it goes on behind', async t => {
  const [recording] = recordings as [Recording]
  const audio = pcmOf(recording)
  const cut = 2 * Math.round((recording.words[5]?.endSeconds ?? 0) * 16_000)
  const { finals } = hear(Buffer.concat([audio.subarray(0, cut), silence(2), audio.subarray(cut)]), {
    recordings,
  })
  t.equal(finals.length, 2)
  t.equal(finals.map(textOf).join(' '), wordsOf(recording))
  t.ok((finals[1]?.StartTime ?? 0) > (finals[0]?.EndTime ?? 0) + 1.9)
})

t.test('a recording of another rate is not recognised', async t => {
  const { text } = hear(
    pcmOf(recordings[1] as Recording),
    { recordings },
    parametersOf({ 'sample-rate': '8000' }),
  )
  t.match(text, /^heard /)
})

t.test('texts are said over any speech, one after the other, none of them cut short', async t => {
  const texts = [{ text: 'one two three', seconds: 1 }, { text: 'four five' }]
  const spoken = hear(Buffer.concat([silence(0.5), tone(1), silence(1), tone(0.4)]), { texts })
  t.strictSame(spoken.finals.map(textOf), ['one two three', 'four five'])
  t.strictSame(spoken.results.map(textOf), [
    'one',
    'one two',
    'one two three',
    'one two three',
    'four',
    'four five',
    'four five',
  ])
  t.ok((spoken.finals[0]?.StartTime ?? 0) >= 0.5 && (spoken.finals[0]?.EndTime ?? 9) <= 1.52)
  t.match(
    hear(tone(3.7), { texts }).text,
    /^one two three four five one two three/,
    'and again from the first',
  )
  t.equal(hear(tone(0.1), { texts }).text, 'one two three', 'short audio gets the whole text it began')
  t.equal(hear(silence(3), { texts }).text, '', 'but silence gets none')
})

t.test('a recording is believed before a text', async t => {
  const [recording] = recordings as [Recording]
  const audio = Buffer.concat([pcmOf(recording), silence(1), tone(1)])
  const { finals } = hear(audio, { recordings, texts: [{ text: 'other words' }] })
  t.equal(textOf(finals[0] as WireResult), wordsOf(recording))
  t.match(finals.slice(1).map(textOf).join(' '), /^other words/)
})

t.test('without words it says what it heard: seconds, level and a hash of exactly that', async t => {
  const speech = tone(1.2)
  const audio = Buffer.concat([silence(1), speech, silence(1.5), tone(0.5)])
  const { results, finals, events } = hear(audio)
  t.strictSame(finals.map(textOf), [
    `heard 1.20 s at -9.0 dB, sha256 ${sha256(speech)}`,
    `heard 0.50 s at -9.0 dB, sha256 ${sha256(tone(0.5))}`,
    `heard in all 4.200 s, ${audio.length} bytes, sha256 ${sha256(audio)}`,
  ])
  t.match(finals[0], { StartTime: 1, EndTime: 2.2 })
  t.strictSame(
    results
      .filter(({ IsPartial }) => IsPartial)
      .map(textOf)
      .slice(0, 2),
    ['heard 0.5 s', 'heard 1.0 s'],
  )
  t.ok(events.some(event => event.length === 0))
})

t.test('a click is no speech, and half a minute without a pause is cut', async t => {
  t.match(hear(Buffer.concat([silence(1), tone(0.02), silence(1)])).finals.map(textOf), [/^heard in all/])
  const { finals } = hear(tone(65))
  t.strictSame(
    finals.slice(0, 3).map(({ EndTime }) => EndTime),
    [30, 60, 65],
  )
})

t.test('the last, unfinished frame of a stream is heard too', async t => {
  const audio = Buffer.concat([tone(1), tone(0.01)])
  t.match(hear(audio).text, /heard 1\.01 s/)
})

t.test('channels are heard apart with channel identification, else there is one', async t => {
  const [left, right] = recordings.slice(0, 2) as [Recording, Recording]
  const stereo = Buffer.alloc(Math.max(left.samples.length, right.samples.length) * 4)
  for (const [channel, { samples }] of [left, right].entries()) {
    samples.forEach((sample, index) => stereo.writeInt16LE(sample, index * 4 + channel * 2))
  }
  const identified = parametersOf({ 'enable-channel-identification': 'true', 'number-of-channels': '2' })
  const { finals } = hear(stereo, { recordings }, identified)
  const textOfChannel = (id: string) =>
    finals
      .filter(({ ChannelId }) => ChannelId === id)
      .map(textOf)
      .join(' ')
  t.equal(textOfChannel('ch_0'), wordsOf(left))
  t.equal(textOfChannel('ch_1'), wordsOf(right))
  t.equal(new Set(finals.map(({ ResultId }) => ResultId)).size, finals.length)
  const reported = hear(stereo, {}, identified)
  t.equal(reported.finals.at(-1)?.ChannelId, 'ch_0')
  t.match(textOf(reported.finals.at(-1) as WireResult), new RegExp(`${stereo.length} bytes`))
})

t.test(
  'speakers, stability and languages come when they were asked for, speakers on finals only',
  async t => {
    const texts = [{ text: 'one two three four five six.' }]
    const plain = hear(tone(2), { texts })
    t.notOk(JSON.stringify(plain.results).match(/Speaker|Stable|Language|Entities|ChannelId/))
    t.match(itemsOf(plain.finals[0]).at(-1), { Type: 'punctuation', Content: '.' })
    t.notOk('Confidence' in (itemsOf(plain.finals[0]).at(-1) ?? {}))
    t.equal(textOf(plain.finals[0] as WireResult), 'one two three four five six.')
    const speakers = hear(tone(2), { texts }, parametersOf({ 'show-speaker-label': 'true' }))
    for (const result of speakers.results) {
      const labels = itemsOf(result)
        .filter(({ Type }) => Type === 'pronunciation')
        .map(({ Speaker }) => Speaker)
      t.ok(labels.every(label => label === (result.IsPartial ? undefined : '0')))
    }
    for (const [stability, unstable] of [
      ['high', 1],
      ['medium', 2],
      ['low', 4],
    ] as const) {
      const stable = parametersOf({
        'enable-partial-results-stabilization': 'true',
        'partial-results-stability': stability,
      })
      const { results, finals } = hear(tone(2), { texts }, stable)
      const partial = results.findLast(({ IsPartial }) => IsPartial)
      t.equal(
        itemsOf(partial).filter(item => item.Type === 'pronunciation' && item.Stable === false).length,
        unstable,
      )
      t.ok(itemsOf(finals[0]).every(({ Stable }) => Stable === true))
    }
    const { 'media-encoding': encoding, 'sample-rate': rate } = PCM
    const validation = validateParameters({
      'media-encoding': encoding,
      'sample-rate': rate,
      'identify-language': 'true',
      'language-options': 'en-US,fr-FR',
      'preferred-language': 'fr-FR',
    })
    if (!validation.ok) throw new Error('not valid')
    const identified = hear(tone(2), { texts }, validation.parameters)
    t.match(identified.finals[0], {
      LanguageCode: 'fr-FR',
      LanguageIdentification: [
        { LanguageCode: 'fr-FR', Score: 0.9 },
        { LanguageCode: 'en-US', Score: 0.1 },
      ],
    })
  },
)

t.test('personal data is hidden or marked in finals; partials still hold it', async t => {
  const options = {
    texts: [{ text: 'please call Ana Maria, on five five five' }],
    personalData: [
      { type: 'NAME', text: 'ana maria' },
      { type: 'PHONE', text: 'five five five' },
    ],
  }
  const redacted = hear(tone(2.6), options, parametersOf({ 'content-redaction-type': 'PII' }))
  t.match(redacted.text, /^please call \[NAME\] on \[PHONE\]/)
  t.match(redacted.finals[0]?.Alternatives[0]?.Entities, [
    { Category: 'PII', Type: 'NAME', Content: '[NAME]' },
    { Category: 'PII', Type: 'PHONE', Content: '[PHONE]' },
  ])
  t.ok(redacted.results.some(result => result.IsPartial && textOf(result).includes('Ana Maria')))
  const some = { 'content-identification-type': 'PII', 'pii-entity-types': 'NAME' }
  const marked = hear(tone(2.6), options, parametersOf(some))
  t.match(marked.text, /^please call Ana Maria, on five/)
  t.match(marked.finals[0]?.Alternatives[0]?.Entities, [{ Type: 'NAME', Content: 'Ana Maria' }])
  t.equal(marked.finals[0]?.Alternatives[0]?.Entities?.length, 1)
  t.notOk(hear(tone(2.6), options).finals[0]?.Alternatives[0]?.Entities)
})

t.test('a closed engine says nothing more', async t => {
  for (const encoding of ['pcm', 'flac']) {
    let calls = 0
    const listener = {
      engineOnResults: () => calls++,
      engineOnEnd: () => calls++,
      engineOnFailure: () => calls++,
    }
    const parameters = parametersOf({ 'media-encoding': encoding })
    const engine = createScriptedEngine().open({ parameters, streamId: 'stream' }, listener)
    engine.write(tone(0.2))
    engine.close()
    engine.write(tone(2))
    engine.end()
    t.equal(calls, 0)
  }
})

t.test('options and recordings out of order are refused by name', async t => {
  t.throws(() => createScriptedEngine({ pauseMs: 1 }), {
    message: 'Scripted engine option pauseMs must be from 100 to 10000, got 1.',
  })
  t.throws(() => createScriptedEngine({ speechThresholdDb: 0 }), RangeError)
  const folder = t.testdir({ 'transcripts.tsv': 'a.wav\t1.0\n' })
  await t.rejects(loadRecordings(folder), { message: /line 1 must have file, seconds and words/ })
  writeFileSync(join(folder, 'transcripts.tsv'), 'a.wav\t1.0\tsome words\n\n')
  await t.rejects(loadRecordings(folder), { code: 'ENOENT' })
  writeFileSync(join(folder, 'a.wav'), Buffer.alloc(100))
  await t.rejects(loadRecordings(folder), {
    message: 'a.wav must be a WAV file of 16-bit mono PCM with a header of 44 bytes.',
  })
  writeFileSync(join(folder, 'transcripts.tsv'), 'a.wav\t1\tw\n'.repeat(1001))
  await t.rejects(loadRecordings(folder), { message: /names 1001 recordings; the limit is 1000/ })
  t.strictSame(
    createRecording('quiet', 16_000, new Int16Array(1600), 'a b').words.map(
      ({ startSeconds }) => startSeconds,
    ),
    [0, 0],
  )
})
