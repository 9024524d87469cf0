/** Chaos at a small size; `npm run chaos` runs it at any size. */
import t from 'tap'
import { runChaos } from './chaos.ts'
import { compareWords, type PlacedWord } from './compare.ts'
import { createTape } from './tape.ts'
import { hearUndisturbed } from './undisturbed.ts'

const seed = Number(process.env['TEST_SEED'] ?? Math.floor(Math.random() * 2 ** 31))

function place(...texts: readonly string[]): readonly PlacedWord[] {
  return texts.map((text, index) => ({ text, start: index, end: index + 0.5 }))
}

t.test('a lost, a repeated and a moved word are found', async t => {
  const [one, two, three] = place('one', 'two', 'three')
  if (one === undefined || two === undefined || three === undefined) throw new Error('no words')
  const expected = [one, two, three]
  t.strictSame(compareWords(expected, expected), { lost: [], repeated: [], maxShiftSeconds: 0 })
  t.match(compareWords(expected, [one, three]), { lost: [two], repeated: [] })
  t.match(compareWords(expected, [one, two, two, three]), { lost: [], repeated: [two] })
  t.match(compareWords(expected, [one, two, three, three]), { lost: [], repeated: [three] })
  t.match(compareWords(expected, [two, one, three]), { lost: [one], repeated: [one] })
  t.match(compareWords(expected, []), { lost: expected, repeated: [] })
  const later = { ...two, start: two.start + 0.1 }
  t.match(compareWords(expected, [one, later, three]), { lost: [], repeated: [] })
  t.ok(compareWords(expected, [one, later, three]).maxShiftSeconds > 0.09)
})

t.test('every stretch of the tape is unlike every other, and undisturbed it gives every word', async t => {
  const tape = createTape(60, seed)
  for (let offset = 0; offset + 320 <= tape.pcm.length; offset += 32_000) {
    const piece = tape.pcm.subarray(offset, offset + 320)
    t.equal(tape.pcm.indexOf(piece), offset)
    t.equal(tape.pcm.indexOf(piece, offset + 1), -1)
  }
  t.strictSame(
    hearUndisturbed(tape).flatMap(({ words }) => words.map(({ Content: content }) => content)),
    tape.recordings.flatMap(({ words }) => words.map(({ content }) => content)),
  )
})

t.test(
  `8 sessions whose streams die every second: every word once, every byte there, TEST_SEED=${seed}`,
  { timeout: 90_000 },
  async t => {
    const report = await runChaos(t, { sessions: 8, audioSeconds: 60, speed: 10, killEverySeconds: 1, seed })
    const { kills, problems, ...figures } = report
    t.strictSame(problems, [])
    t.equal(figures.lostWords + figures.repeatedWords, 0)
    const rollovers = Object.values(figures.rollovers).reduce((sum, count) => sum + count, 0)
    t.ok(rollovers >= 8, `${rollovers} rollovers`)
    t.comment(JSON.stringify({ kills, ...figures }))
  },
)
