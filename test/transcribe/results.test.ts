import t from 'tap'
import * as fc from 'fast-check'
import { parseTranscriptEvent, TranscriptEventError } from '../../src/transcribe/results.ts'

const PARTIAL = `{"Transcript":{"Results":[{"ResultId":"a1","StartTime":0.4,"EndTime":1.9,"IsPartial":true,
 "Alternatives":[{"Transcript":"please call","Items":[
  {"Content":"please","StartTime":0.4,"EndTime":0.9,"Type":"pronunciation","VocabularyFilterMatch":false,"Stable":true},
  {"Content":"call","StartTime":0.95,"EndTime":1.4,"Type":"pronunciation","VocabularyFilterMatch":false,"Stable":false}]}]}]}}`

const FINAL = `{"Transcript":{"Results":[{"ResultId":"a1","StartTime":0.4,"EndTime":2.6,"IsPartial":false,
 "ChannelId":"ch_0","LanguageCode":"en-US","LanguageIdentification":[{"LanguageCode":"en-US","Score":0.97}],
 "Alternatives":[{"Transcript":"please call Ana.","Items":[
  {"Content":"Ana","StartTime":1.5,"EndTime":2,"Type":"pronunciation","Confidence":0.91,"Speaker":"0"},
  {"Content":".","StartTime":2,"EndTime":2,"Type":"punctuation","Confidence":null}],
  "Entities":[{"Category":"PII","Type":"NAME","Content":"Ana","Confidence":0.95,"StartTime":1.5,"EndTime":2}]}]}]}}`

t.test('a result as the service sends it is read as it came, from bytes and from text', async t => {
  for (const json of [PARTIAL, FINAL, '{"Transcript":{"Results":[]}}']) {
    t.strictSame(parseTranscriptEvent(json), JSON.parse(json))
    t.strictSame(parseTranscriptEvent(new TextEncoder().encode(json)), JSON.parse(json))
  }
  const speech = 'žluťoučký kůň 😀'
  const bytes = new TextEncoder().encode(JSON.stringify({ Transcript: { Results: [{ ResultId: speech }] } }))
  t.equal(parseTranscriptEvent(bytes).Transcript.Results[0]?.ResultId, speech)
})

t.test('members that are missing, null, unknown or of a wrong type do no harm', async t => {
  const json = `{"New":1,"Transcript":{"More":2,"Results":[
    {},
    null, 7, "text", [],
    {"ResultId":5,"StartTime":"0.4","EndTime":1e999,"IsPartial":null,"Alternatives":{},"Added":"kept"},
    {"IsPartial":"true","LanguageIdentification":[{"Score":"x"},null],"Alternatives":[
      null,
      {"Transcript":[],"Items":null,"Entities":[{"Content":{}}]},
      {"Items":[{"Content":1,"Speaker":0,"Stable":1,"VocabularyFilterMatch":"no","Confidence":-1e999,"Type":"speaker-change"}]}
    ]}
  ]}}`
  t.strictSame(parseTranscriptEvent(json), {
    New: 1,
    Transcript: {
      More: 2,
      Results: [
        {},
        {
          ResultId: null,
          StartTime: null,
          EndTime: null,
          IsPartial: null,
          Alternatives: null,
          Added: 'kept',
        },
        {
          IsPartial: null,
          LanguageIdentification: [{ Score: null }],
          Alternatives: [
            { Transcript: null, Items: null, Entities: [{ Content: null }] },
            {
              Items: [
                {
                  Content: null,
                  Speaker: null,
                  Stable: null,
                  VocabularyFilterMatch: null,
                  Confidence: null,
                  Type: 'speaker-change',
                },
              ],
            },
          ],
        },
      ],
    },
  })
})

t.test('what is no TranscriptEvent is refused, and the error quotes nothing of it', async t => {
  const rows: [Uint8Array | string, TranscriptEventError['defect']][] = [
    [Uint8Array.of(0x7b, 0xff, 0x7d), 'not_utf8'],
    ['', 'not_json'],
    ['{"Transcript":{"Results":["secret speech"', 'not_json'],
    ['null', 'no_results'],
    ['[]', 'no_results'],
    ['"secret speech"', 'no_results'],
    ['{}', 'no_results'],
    ['{"Transcript":null}', 'no_results'],
    ['{"Transcript":[]}', 'no_results'],
    ['{"Transcript":{"Results":null}}', 'no_results'],
    ['{"Transcript":{"Results":{}}}', 'no_results'],
  ]
  for (const [payload, defect] of rows) {
    try {
      parseTranscriptEvent(payload)
      t.fail('accepted')
    } catch (error) {
      if (!(error instanceof TranscriptEventError)) throw error
      t.equal(error.defect, defect)
      t.notMatch(`${error.message} ${String(error.cause)}`, /secret/)
    }
  }
})

t.test('any JSON is read or refused with the typed error', async t => {
  const property = fc.property(fc.json(), fc.boolean(), (json, wrapped) => {
    try {
      parseTranscriptEvent(wrapped ? `{"Transcript":{"Results":[{"Alternatives":${json}}]}}` : json)
      return true
    } catch (error) {
      return !wrapped && error instanceof TranscriptEventError
    }
  })
  t.doesNotThrow(() => fc.assert(property, { numRuns: 1000 }))
})
