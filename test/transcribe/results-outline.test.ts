/** An outline is what the whole event is, but for its items; or there is none. */
import t from 'tap'
import * as fc from 'fast-check'
import { parseOutline } from '../../src/transcribe/results-outline.ts'
import { parseTranscriptEvent, type TranscriptEvent } from '../../src/transcribe/results.ts'

const seed = Number(process.env['TEST_SEED'] ?? Math.floor(Math.random() * 2 ** 31))

/** Strings of what JSON is made of, to mislead a search in its text. */
const trap = fc
  .array(fc.constantFrom('"Items":[', '],"Transcript":', '[', ']', '{', '}', '"', '\\', ',', 'word', ' '), {
    maxLength: 6,
  })
  .map(parts => parts.join(''))
const text = fc.oneof({ weight: 12, arbitrary: fc.constant('word') }, trap, fc.string())
const seconds = fc.double({ min: 0, max: 1000, noNaN: true })
/** The members come in the order of the alphabet, as from the service, or in another. */
const item = fc.record(
  {
    Content: text,
    EndTime: seconds,
    StartTime: seconds,
    Type: text,
    New: fc.oneof({ weight: 9, arbitrary: fc.boolean() }, fc.jsonValue({ maxDepth: 2 })),
  },
  { requiredKeys: ['Content'] },
)
const alternative = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.record({ Items: fc.array(item, { maxLength: 3 }), Transcript: text }),
  },
  fc.record({ Entities: fc.constant([]), Items: fc.array(item, { maxLength: 3 }), Transcript: text }),
  fc.record({ Transcript: text, Items: fc.array(item, { maxLength: 3 }) }),
  fc.record({
    Items: fc.array(item, { maxLength: 3 }),
    Entities: fc.array(item, { maxLength: 3 }),
    Transcript: text,
  }),
  fc.jsonValue({ maxDepth: 3 }),
)
const result = fc.record(
  {
    Alternatives: fc.array(alternative, { maxLength: 2 }),
    EndTime: seconds,
    IsPartial: fc.constantFrom(true, true, true, true, true, true, true, true, false, null),
    ResultId: text,
  },
  { requiredKeys: ['Alternatives', 'IsPartial'] },
)

function withoutItems(event: TranscriptEvent): unknown {
  return {
    ...event,
    Transcript: {
      ...event.Transcript,
      Results: event.Transcript.Results.map(each => ({
        ...each,
        Alternatives: each.Alternatives?.map(one => ('Items' in one ? { ...one, Items: [] } : one)),
      })),
    },
  }
}

t.test(`an outline lacks the items and nothing else, TEST_SEED=${seed}`, async t => {
  let outlines = 0
  let wholes = 0
  const property = fc.property(fc.array(result, { maxLength: 2 }), fc.boolean(), (results, isIndented) => {
    const json = JSON.stringify({ Transcript: { Results: results } }, null, isIndented ? 1 : 0)
    const outline = parseOutline(json)
    if (outline === null) {
      wholes += 1
      return
    }
    outlines += 1
    const whole = parseTranscriptEvent(json)
    t.strictSame(withoutItems(outline), withoutItems(whole))
    if (!whole.Transcript.Results.every(({ IsPartial }) => IsPartial === true)) t.fail('a final result')
  })
  fc.assert(property, { numRuns: 5000, seed })
  t.comment(`${outlines} outlines, ${wholes} read as a whole`)
  t.ok(outlines > 100 && wholes > 100)
})

t.test('the outline of a partial result as the service sends it', async t => {
  const json =
    '{"Transcript":{"Results":[{"Alternatives":[{"Items":[{"Content":"a"},{"Content":"b"}],"Transcript":"a b"}],' +
    '"EndTime":1.5,"IsPartial":true,"ResultId":"r","StartTime":0.5}]}}'
  t.strictSame(parseOutline(json), {
    Transcript: {
      Results: [
        {
          Alternatives: [{ Items: [], Transcript: 'a b' }],
          EndTime: 1.5,
          IsPartial: true,
          ResultId: 'r',
          StartTime: 0.5,
        },
      ],
    },
  })
  t.equal(parseOutline(json.replace('true', 'false')), null, 'a final')
  t.equal(parseOutline(json.replace('"IsPartial":true,', '')), null, 'nobody knows')
  t.equal(parseOutline(json.replace('"b"', '"]"')), null, 'a bracket in a word')
  t.equal(parseOutline(json.replace('"b"', '["b"]')), null, 'a list in an item')
  t.equal(parseOutline(json.replace('"Items"', '"Items" ')), null, 'another way of writing')
  t.equal(parseOutline(json.slice(0, -1)), null, 'no JSON')
  t.equal(parseOutline('{"Transcript":{"Results":[]}}'), null, 'nothing to cut')
})
