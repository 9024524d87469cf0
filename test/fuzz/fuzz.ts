/**
 * Fuzzes what reads the input of strangers, one target after the other.
 *
 *     npm run fuzz                                    a minute for all targets together
 *     npm run fuzz -- --seconds 1800                  longer
 *     npm run fuzz -- --inputs 10000000 --seed 7      so many inputs, with this seed
 *     npm run fuzz -- --target decoder --seconds 10   one target
 *
 * The same seed and number of inputs are the same inputs. A finding is printed with its input; put that into
 * `test/fuzz/corpus/<target>/` together with the fix. Exit code 1 for a finding.
 */
import { parseArgs } from 'node:util'
import { readCorpus, runCampaign } from './campaign.ts'
import { TARGETS } from './targets.ts'

const { values } = parseArgs({
  options: {
    target: { type: 'string' },
    seconds: { type: 'string' },
    inputs: { type: 'string' },
    seed: { type: 'string' },
  },
})
const names = values.target === undefined ? Object.keys(TARGETS) : [values.target]
const seed = Number(values.seed ?? Date.now() % 2 ** 31)
const inputs = values.inputs === undefined ? Infinity : Math.ceil(Number(values.inputs) / names.length)
const seconds = Number(values.seconds ?? (values.inputs === undefined ? 60 : Infinity)) / names.length

let total = 0
for (const target of names) {
  const result = await runCampaign({
    target,
    corpus: readCorpus(target),
    seed,
    maxInputs: inputs,
    maxMs: seconds * 1000,
  })
  total += result.inputs
  const rate = Math.round(result.inputs / result.seconds)
  const mebibytes = Math.round(result.residentBytes / 2 ** 20)
  say(
    `${target}: ${result.inputs} inputs in ${result.seconds.toFixed(1)} s, ${rate} a second, ${mebibytes} MiB, seed ${seed}`,
  )
  if (result.finding === null) continue
  const { input, kind, message } = result.finding
  say(`${target}: ${kind}: ${message}`)
  say(`input, ${input.length} bytes in base64: ${input.toString('base64')}`)
  process.exitCode = 1
}
say(`${total} inputs, ${process.exitCode === 1 ? 'with findings' : 'no finding'}`)

function say(line: string): void {
  process.stdout.write(`${line}\n`)
}
