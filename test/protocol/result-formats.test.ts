/** From the results of the service to the messages of the client. */
import t from 'tap'
import { awsTranscript, awsTranscriptAsCame, simpleTranscript } from '../../src/protocol/result-formats.ts'
import type { TranscribeItem, TranscribeResult } from '../../src/transcribe/results.ts'

const same = (seconds: number) => seconds
const later = (seconds: number) => seconds - 1.5

function word(Content: string, start: number, Speaker?: string): TranscribeItem {
  return {
    Content,
    StartTime: start,
    EndTime: start + 0.25,
    Type: 'pronunciation',
    ...(Speaker === undefined ? {} : { Speaker }),
  }
}

function mark(Content: string, at: number): TranscribeItem {
  return { Content, StartTime: at, EndTime: at, Type: 'punctuation' }
}

/** A result as the service documents it, with everything that can apply. */
const FULL: TranscribeResult = {
  ResultId: 'id-1',
  StartTime: 2,
  EndTime: 4.2000001,
  IsPartial: false,
  ChannelId: 'ch_0',
  LanguageCode: 'en-US',
  Alternatives: [
    {
      Transcript: 'please call Ana.',
      Items: [
        { ...word('please', 2, '0'), Confidence: 0.99, VocabularyFilterMatch: false, Stable: true },
        { ...word('call', 2.5, '0'), VocabularyFilterMatch: true },
        { ...word('Ana', 3, '0'), Stable: false },
        mark('.', 3.25),
      ],
      Entities: [
        { Category: 'PII', Type: 'NAME', Content: 'Ana', Confidence: 0.95, StartTime: 3, EndTime: 3.25 },
        { Category: 'PII' },
        {},
      ],
    },
    { Transcript: 'another guess' },
  ],
}

t.test('simple: everything that applies', async t => {
  t.strictSame(simpleTranscript(FULL, 7, true, later), {
    type: 'Transcript',
    seq: 7,
    result_id: 'id-1',
    is_final: true,
    text: 'please call Ana.',
    start: 0.5,
    end: 2.7,
    channel: 'ch_0',
    speaker: '0',
    language: 'en-US',
    words: [
      { text: 'please', start: 0.5, end: 0.75, confidence: 0.99, speaker: '0', stable: true },
      { text: 'call', start: 1, end: 1.25, speaker: '0', filtered: true },
      { text: 'Ana', start: 1.5, end: 1.75, speaker: '0', stable: false },
      { text: '.', start: 1.75, end: 1.75, type: 'punctuation' },
    ],
    entities: [
      { text: 'Ana', type: 'NAME', category: 'PII', start: 1.5, end: 1.75, confidence: 0.95 },
      { text: '', type: 'PII', category: 'PII', start: -1.5, end: -1.5 },
      { text: '', type: '', category: '', start: -1.5, end: -1.5 },
    ],
  })
})

t.test('simple: only what applies, and only a final is final', async t => {
  const bare = { type: 'Transcript', seq: 1, result_id: '', is_final: false, text: '', start: 0, end: 0 }
  for (const result of [
    {},
    { IsPartial: true },
    { IsPartial: null, Alternatives: null, ChannelId: null, LanguageCode: null },
    { Alternatives: [] },
    { Alternatives: [{ Items: null, Entities: null, Transcript: null }] },
    { Alternatives: [{ Items: [word('x', 0)], Entities: [] }] },
  ]) {
    t.strictSame(simpleTranscript(result, 1, false, same), bare)
  }
  t.strictSame(simpleTranscript({ Alternatives: [{ Items: [{}] }] }, 1, true, same), {
    ...bare,
    words: [{ text: '', start: 0, end: 0 }],
  })
})

t.test('simple: turns of several speakers, spaced as in the transcript', async t => {
  const cases: [Transcript: string, Items: TranscribeItem[], turns: unknown][] = [
    [
      'Hi, Ana. Oh, hello you.',
      [
        word('Hi', 0, '0'),
        mark(',', 0.25),
        word('Ana', 0.5, '0'),
        mark('.', 0.75),
        word('Oh', 1, '1'),
        mark(',', 1.25),
        word('hello', 1.5, '1'),
        word('you', 2),
        mark('.', 2.25),
      ],
      [
        { speaker: '0', text: 'Hi, Ana.', start: 0, end: 0.75 },
        { speaker: '1', text: 'Oh, hello you.', start: 1, end: 2.25 },
      ],
    ],
    [
      '你好。再见',
      [word('你', 0, '0'), word('好', 0.5, '0'), mark('。', 0.75), word('再', 1, '1'), word('见', 1.5, '1')],
      [
        { speaker: '0', text: '你好。', start: 0, end: 0.75 },
        { speaker: '1', text: '再见', start: 1, end: 1.75 },
      ],
    ],
    [
      'well yes no',
      [word('well', 0), word('yes', 0.5, '4'), word('no', 1, '2')],
      [
        { speaker: '4', text: 'well yes', start: 0, end: 0.75 },
        { speaker: '2', text: 'no', start: 1, end: 1.25 },
      ],
    ],
    [
      'something else',
      [word('A', 0, '0'), word('B', 0.5, '0'), mark('!', 0.75), word('C', 1, '1')],
      [
        { speaker: '0', text: 'A B!', start: 0, end: 0.75 },
        { speaker: '1', text: 'C', start: 1, end: 1.25 },
      ],
    ],
  ]
  for (const [Transcript, Items, turns] of cases) {
    const result = simpleTranscript({ Alternatives: [{ Transcript, Items }] }, 1, false, same)
    t.strictSame(result.turns, turns, Transcript)
    t.notOk('speaker' in result)
  }
  const nobody = simpleTranscript(
    { Alternatives: [{ Transcript: 'a b', Items: [word('a', 0), mark('?', 1)] }] },
    1,
    false,
    same,
  )
  t.notOk('turns' in nobody || 'speaker' in nobody)
})

t.test('aws: every time moves by itself, and nothing else changes', async t => {
  const moved = JSON.parse(awsTranscript([FULL, {}], later)) as {
    type: string
    Transcript: { Results: TranscribeResult[] }
  }
  t.equal(moved.type, 'Transcript')
  const [result, empty] = moved.Transcript.Results
  t.strictSame(empty, {})
  t.match(result, { ResultId: 'id-1', StartTime: 0.5, EndTime: 2.7, ChannelId: 'ch_0' })
  const [first, second] = result?.Alternatives ?? []
  t.strictSame(
    first?.Items?.map(({ StartTime }) => StartTime),
    [0.5, 1, 1.5, 1.75],
  )
  t.strictSame(first?.Items?.[0], { ...FULL.Alternatives?.[0]?.Items?.[0], StartTime: 0.5, EndTime: 0.75 })
  t.strictSame(first?.Entities?.[0], {
    ...FULL.Alternatives?.[0]?.Entities?.[0],
    StartTime: 1.5,
    EndTime: 1.75,
  })
  t.strictSame(second, { Transcript: 'another guess' })
  t.equal(FULL.StartTime, 2, 'the result itself is as it was')
})

t.test('aws: as it came means byte for byte', async t => {
  t.equal(
    awsTranscriptAsCame('{"Transcript":{"Results":[]}}'),
    '{"type":"Transcript","Transcript":{"Results":[]}}',
  )
  t.equal(awsTranscriptAsCame(' \n{ "Transcript" : 1.0 }'), '{"type":"Transcript", "Transcript" : 1.0 }')
})
