/** A short run of every fuzz target (FZ-09), and that the fuzzer finds what is broken. `npm run fuzz` runs longer. */
import { readdirSync } from 'node:fs'
import t from 'tap'
import { CORPUS_FOLDER, readCorpus, runCampaign } from './campaign.ts'
import { TARGETS } from './targets.ts'

const seed = Number(process.env['TEST_SEED'] ?? Date.now() % 2 ** 31)
const SECONDS_EACH = 0.6

t.comment(`seed ${seed}`)

t.test('every target has a corpus, and every corpus a target', async t => {
  t.strictSame(readdirSync(CORPUS_FOLDER).toSorted(), Object.keys(TARGETS).toSorted())
})

for (const target of Object.keys(TARGETS)) {
  t.test(`${target}: no crash, no hang, no wrong answer`, async t => {
    const corpus = readCorpus(target)
    t.ok(corpus.length > 4)
    const limits = { maxInputs: 100_000, maxMs: SECONDS_EACH * 1000 }
    const { finding, inputs } = await runCampaign({ target, corpus, seed, ...limits })
    t.equal(finding === null ? null : `${finding.message} ${finding.input.toString('base64')}`, null)
    t.ok(inputs >= corpus.length, `${inputs} inputs`)
  })
}

t.test('a crash and a hang are found, with the input that does it', async t => {
  const module = new URL('broken-targets.ts', import.meta.url).href
  const options = { module, corpus: [Buffer.from('a')], seed, maxInputs: 1_000_000, maxMs: 60_000 }
  const crash = await runCampaign({ ...options, target: 'crash' })
  t.match(crash.finding, { kind: 'crash', message: /TypeError: crash on x/ })
  const hang = await runCampaign({ ...options, target: 'hang', hangMs: 300 })
  t.match(hang.finding, { kind: 'hang' })
  for (const { finding } of [crash, hang]) t.ok(finding?.input.includes('x'))
  const fine = await runCampaign({ ...options, target: 'fine', maxInputs: 1000 })
  t.match(fine, { finding: null, inputs: 1000 })
})
